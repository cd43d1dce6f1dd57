"""Tests that a real API server accepts the manifests that `nox -s configure` writes, and a second apply of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from labtesting.cluster import NAMESPACE, kubectl, own_namespaces

from admin.tests.configure import example
from admin.tests.configure.sample import SampleSite


@pytest.mark.parametrize(
    "text", [example.with_defaults(), example.with_alternatives()], ids=["defaults", "alternatives"]
)
def test_api_server_accepts_the_written_objects(text: str, tmp_path: Path) -> None:
    site = SampleSite.make(tmp_path, text)
    outputs = []
    for _ in range(2):
        site.configure()
        arguments = ("--dry-run=server", "--validate=strict", "--warnings-as-errors", "--filename")
        outputs.append(kubectl("apply", *arguments, site.output))
    assert outputs[0] == outputs[1]
    assert outputs[0].count("(server dry run)") == len(site.objects())
    assert {body["metadata"].get("namespace") for body in site.objects()} == {None, NAMESPACE}


def test_second_apply_removes_unset_settings(tmp_path: Path) -> None:
    site = SampleSite.make(tmp_path, example.with_defaults())
    site.configure()
    # The tests use a separate namespace, so that they do not change the settings of a deployed site.
    namespace = f"{NAMESPACE}-configure-test"
    with own_namespaces(namespace):
        for _ in range(2):
            output = apply_objects(site, namespace)
        assert output.count("unchanged") == len(site.objects()) - 1
        site.write_settings(example.TEXT)
        site.configure()
        apply_objects(site, namespace)
        assert kubectl("get", "configmap", "fileserver", "--namespace", namespace, "-o", "jsonpath={.data}") == ""


def apply_objects(site: SampleSite, namespace: str) -> str:
    """Apply all objects of the manifests, except the Namespace, in the test's namespace."""
    files = [file for file in sorted(site.output.glob("*.yaml")) if "namespace" not in file.name]
    text = "\n---\n".join(
        file.read_text().replace(f"namespace: {NAMESPACE}", f"namespace: {namespace}") for file in files
    )
    return kubectl("apply", "--filename", "-", stdin=text)
