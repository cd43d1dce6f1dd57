"""A real API server takes what `nox -s configure` writes, as `kubectl apply -f site` gives it, once and again."""

from __future__ import annotations

from pathlib import Path

import pytest
from labtesting.cluster import NAMESPACE, kubectl, own_namespaces

from admin.tests.configure import example
from admin.tests.configure.sample import SampleSite


@pytest.mark.parametrize(
    "text", [example.with_defaults(), example.with_alternatives()], ids=["defaults", "alternatives"]
)
def test_the_api_server_takes_what_is_written(text: str, tmp_path: Path) -> None:
    site = SampleSite.make(tmp_path, text)
    told = []
    for _ in range(2):
        site.configure()
        arguments = ("--dry-run=server", "--validate=strict", "--warnings-as-errors", "--filename")
        told.append(kubectl("apply", *arguments, site.output))
    assert told[0] == told[1]
    assert told[0].count("(server dry run)") == len(site.objects())
    assert {body["metadata"].get("namespace") for body in site.objects()} == {None, NAMESPACE}


def test_what_is_written_can_be_applied_again_and_loses_what_was_left_out(tmp_path: Path) -> None:
    site = SampleSite.make(tmp_path, example.with_defaults())
    site.configure()
    # In a namespace of its own, so that it does not meet a site's real settings.
    apart = f"{NAMESPACE}-configure-test"
    with own_namespaces(apart):
        for _ in range(2):
            told = apply_apart(site, apart)
        assert told.count("unchanged") == len(site.objects()) - 1
        site.write_settings(example.TEXT)
        site.configure()
        apply_apart(site, apart)
        assert kubectl("get", "configmap", "fileserver", "--namespace", apart, "-o", "jsonpath={.data}") == ""


def apply_apart(site: SampleSite, namespace: str) -> str:
    """Apply all but the namespace in another one."""
    files = [file for file in sorted(site.output.glob("*.yaml")) if "namespace" not in file.name]
    text = "\n---\n".join(
        file.read_text().replace(f"namespace: {NAMESPACE}", f"namespace: {namespace}") for file in files
    )
    return kubectl("apply", "--filename", "-", stdin=text)
