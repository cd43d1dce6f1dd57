"""The manifests of every component, as found on disk, keep every rule of the house."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.manifests.house import RULES, Rule, needless_exceptions, rule_name, violations
from tests.manifests.manifest import find_folders, read_folder
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
