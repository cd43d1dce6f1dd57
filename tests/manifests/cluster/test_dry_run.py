"""A real API server takes the manifests of every component, as `kubectl apply -f` gives them, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from labtesting.cluster import KubectlError, exists, kubectl, need_cluster

from tests.manifests.manifest import find_folders, read_folder
from tools.components import ROOT

FOLDERS = find_folders(ROOT)


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> Iterator[None]:
    """Make the namespaces that are not there: what is applied dry goes nowhere without."""
    need_cluster()
    objects = {
        one.name: one for path in FOLDERS for one in read_folder(path, ROOT).manifests if one.kind == "Namespace"
    }
    for name in objects:  # which another test may be rid of in a moment
        if kubectl("get", "namespace", name, "--ignore-not-found", "-o", "jsonpath={.status.phase}") == "Terminating":
            kubectl("wait", "namespace", name, "--for=delete", "--timeout=100s")
    made = [name for name in objects if not exists("namespace", name)]
    for name in made:
        kubectl("apply", "--filename", ROOT / objects[name].file)
    yield
    if made:
        kubectl("delete", "namespace", *made)


def dry_run(path: Path) -> str:
    return kubectl("apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "--filename", path)


@pytest.mark.parametrize("path", FOLDERS, ids=[path.parent.name for path in FOLDERS])
def test_the_api_server_takes_the_folder_without_a_warning(path: Path) -> None:
    told = dry_run(path)
    assert told.count("(server dry run)") == len(read_folder(path, ROOT).manifests)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("ports: [{name: http, port: 80}, {name: http, port: 81}]", "Duplicate value"),  # what no schema sees
        ("prots: []", 'unknown field "spec.prots"'),
    ],
)
def test_a_bad_object_is_refused(spec: str, says: str, tmp_path: Path) -> None:
    metadata = "{name: never-made, namespace: jupyterlabdemo}"
    (tmp_path / "service.yaml").write_text(f"apiVersion: v1\nkind: Service\nmetadata: {metadata}\nspec:\n  {spec}\n")
    with pytest.raises(KubectlError, match=says):
        dry_run(tmp_path)
    assert not exists("service", "never-made")
