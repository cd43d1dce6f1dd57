"""What the documentation says to apply fits what it is applied beside."""

from __future__ import annotations

from typing import Any

import yaml

from tests.manifests.manifest import read_documented
from tools.components import ROOT


def labels_and_ports(file: str) -> tuple[dict[str, str], list[str]]:
    """Give the labels of a Deployment's pods, and the names of their ports."""
    template: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())["spec"]["template"]
    ports = [port["name"] for container in template["spec"]["containers"] for port in container["ports"]]
    return template["metadata"]["labels"], ports


def test_the_policies_of_several_hubs_let_nginx_to_their_proxies() -> None:
    out, into = read_documented(ROOT / "docs/admin/capacity.md")
    nginx, _ = labels_and_ports("nginx/kubernetes/deployment.yaml")
    proxy, ports = labels_and_ports("hub/kubernetes/proxy-deployment.yaml")
    (to,) = out["spec"]["egress"][0]["to"]
    (source,) = into["spec"]["ingress"][0]["from"]
    for pods, chosen in ((nginx, out["spec"]), (proxy, to), (proxy, into["spec"]), (nginx, source)):
        assert chosen["podSelector"]["matchLabels"].items() <= pods.items()
    for policy, peer in ((into, to), (out, source)):
        name = {"kubernetes.io/metadata.name": policy["metadata"]["namespace"]}
        assert peer["namespaceSelector"]["matchLabels"] == name
    assert {rule["ports"][0]["port"] for rule in (out["spec"]["egress"][0], into["spec"]["ingress"][0])} <= set(ports)
