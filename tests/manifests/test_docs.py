"""Tests of the manifests and commands that the documentation shows."""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import yaml

from tests.manifests.manifest import read_documented
from tools.components import ROOT, list_images, version


def labels_and_ports(file: str) -> tuple[dict[str, str], list[str]]:
    """Return the labels of a Deployment's pods, and the names of the pods' ports."""
    template: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())["spec"]["template"]
    ports = [port["name"] for container in template["spec"]["containers"] for port in container["ports"]]
    return template["metadata"]["labels"], ports


def test_policies_of_several_hubs_connect_nginx_and_proxies() -> None:
    egress, ingress = read_documented(ROOT / "docs/admin/capacity.md")
    nginx, _ = labels_and_ports("nginx/kubernetes/deployment.yaml")
    proxy, ports = labels_and_ports("hub/kubernetes/proxy-deployment.yaml")
    (target,) = egress["spec"]["egress"][0]["to"]
    (source,) = ingress["spec"]["ingress"][0]["from"]
    for labels, selected in ((nginx, egress["spec"]), (proxy, target), (proxy, ingress["spec"]), (nginx, source)):
        assert selected["podSelector"]["matchLabels"].items() <= labels.items()
    for policy, peer in ((ingress, target), (egress, source)):
        name = {"kubernetes.io/metadata.name": policy["metadata"]["namespace"]}
        assert peer["namespaceSelector"]["matchLabels"] == name
    rules = (egress["spec"]["egress"][0], ingress["spec"]["ingress"][0])
    assert {rule["ports"][0]["port"] for rule in rules} <= set(ports)


def test_the_registry_recipe_renames_every_image(tmp_path: Path) -> None:
    section = (ROOT / "docs/admin/images.md").read_text().partition("\n## Use your own registry\n")[2]
    blocks = [
        textwrap.dedent(block) for block in re.findall(r"^ *```sh\n(.+?)^ *```$", section, re.MULTILINE | re.DOTALL)
    ]
    copy, menu, check = blocks[1:4]
    # The documented commands write to a folder beside the repository. Replace it with a temporary folder.
    commands = "\n".join(["registry=registry.example.org/lsst", copy, menu]).replace(
        "../site-manifests", f"{tmp_path}/new"
    )
    subprocess.run(["bash", "-euc", commands], cwd=ROOT, check=True)
    old_names = ["bash", "-c", check.replace("../site-manifests", f"{tmp_path}/new")]
    assert subprocess.run(old_names, capture_output=True, text=True, check=False).stdout == ""
    texts = [file.read_text() for file in (tmp_path / "new").rglob("*") if file.is_file()]
    renamed = {
        name.replace("{version}", version())
        for text in texts
        for name in re.findall(r"registry\.example\.org/lsst/[^\s\"]+", text)
    }
    assert renamed == {image.replace("lsstsqre/", "registry.example.org/lsst/") for image in list_images()}
