"""Tests that a real API server accepts the manifests of all components in a server-side dry run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from labtesting.cluster import KubectlError, exists, kubectl, own_namespaces

from tests.manifests.manifest import find_folders, read_documented, read_folder
from tools.components import ROOT

FOLDERS = find_folders(ROOT)


def dry_run(path: Path) -> str:
    return kubectl("apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "--filename", path)


@pytest.mark.parametrize("path", FOLDERS, ids=[path.parent.name for path in FOLDERS])
def test_api_server_accepts_the_folder_without_a_warning(path: Path) -> None:
    output = dry_run(path)
    assert output.count("(server dry run)") == len(read_folder(path, ROOT).manifests)


def test_api_server_accepts_the_policies_of_several_hubs(tmp_path: Path) -> None:
    policies = read_documented(ROOT / "docs/admin/capacity.md")
    (tmp_path / "policies.yaml").write_text(yaml.safe_dump_all(policies))
    with own_namespaces(policies[1]["metadata"]["namespace"]):
        assert dry_run(tmp_path).count("(server dry run)") == len(policies)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ports: [{name: http, port: 80}, {name: http, port: 81}]", "Duplicate value"),  # the JSON schema accepts this
        ("prots: []", 'unknown field "spec.prots"'),
    ],
)
def test_invalid_object_is_refused(spec: str, message: str, tmp_path: Path) -> None:
    metadata = "{name: never-made, namespace: jupyterlabdemo}"
    (tmp_path / "service.yaml").write_text(f"apiVersion: v1\nkind: Service\nmetadata: {metadata}\nspec:\n  {spec}\n")
    with pytest.raises(KubectlError, match=message):
        dry_run(tmp_path)
    assert not exists("service", "never-made")
