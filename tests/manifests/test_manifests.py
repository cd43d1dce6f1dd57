"""Tests that the manifests of all components follow the rules in `house.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.manifests import container_rules, object_rules
from tests.manifests.complaint import Rule
from tests.manifests.house import RULES, needless_exceptions, rule_name, violations
from tests.manifests.manifest import find_alternatives, find_folders, read_folder
from tools.components import ROOT

FOLDERS = find_folders(ROOT)
each_component = pytest.mark.parametrize("path", FOLDERS, ids=[path.parent.name for path in FOLDERS])


@each_component
@pytest.mark.parametrize("rule", RULES, ids=rule_name)
def test_manifests_keep_the_rule(path: Path, rule: Rule) -> None:
    assert violations(read_folder(path, ROOT), rule) == []


@each_component
def test_no_exception_is_needless(path: Path) -> None:
    assert needless_exceptions(read_folder(path, ROOT)) == []


ALTERNATIVES = find_alternatives(ROOT)
each_alternative = pytest.mark.parametrize("path", ALTERNATIVES, ids=[path.name for path in ALTERNATIVES])


@each_alternative
@pytest.mark.parametrize(
    "rule",
    [
        object_rules.schema,
        object_rules.namespaces_first,
        object_rules.namespace,
        object_rules.labels,
        object_rules.no_secret,
        container_rules.images,
        container_rules.no_escalation,
    ],
    ids=rule_name,
)
def test_an_alternative_keeps_the_rule(path: Path, rule: Rule) -> None:
    assert violations(read_folder(path, ROOT), rule) == []


@each_alternative
def test_common_files_of_an_alternative_are_identical(path: Path) -> None:
    for file in path.glob("*.yaml"):
        original = path.parents[1] / "kubernetes" / file.name
        if original.exists() and not file.name.endswith(("-persistentvolume.yaml", "deployment.yaml")):
            assert file.read_text() == original.read_text(), file.name
