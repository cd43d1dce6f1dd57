"""Tests of the deployed manifests: a second `kubectl apply`, Pod Security, image pulls and the hub's permissions."""

from __future__ import annotations

import json

import pytest
from labtesting.cluster import LABS, KubectlError, kubectl

from hub.tests.cluster.deployment import MANIFESTS, Deployment


def test_second_apply_changes_nothing(deployment: Deployment) -> None:
    lines = kubectl("apply", "--filename", MANIFESTS).splitlines()
    assert [line for line in lines if not line.endswith(" unchanged")] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"hostNetwork": True},
        {"containers": [{"name": "x", "image": "x", "securityContext": {"privileged": True}}]},
        {"containers": [{"name": "x", "image": "x"}]},
    ],
    ids=["host network", "privileged", "root"],
)
def test_labs_namespace_rejects_unrestricted_pods(deployment: Deployment, changes: dict[str, object]) -> None:
    spec = {"containers": [{"name": "x", "image": "x"}], **changes}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bad", "namespace": LABS}, "spec": spec}
    with pytest.raises(KubectlError, match='violates PodSecurity "restricted'):
        kubectl("create", "--filename", "-", stdin=json.dumps(pod))


def test_daemonset_pulls_the_images(deployment: Deployment) -> None:
    kubectl("rollout", "status", "daemonset/prepull", "--namespace", LABS, "--timeout=60s")


def test_hub_has_only_the_needed_permissions(deployment: Deployment) -> None:
    account = "system:serviceaccount:jupyterlabdemo:hub"

    def may(*request: str) -> bool:
        try:
            return kubectl("auth", "can-i", *request, "--as", account).strip() == "yes"
        except KubectlError:
            return False

    assert may("create", "pods", "--namespace", LABS)
    for request in (["get", "secrets"], ["create", "pods", "--subresource=exec"], ["delete", "persistentvolumeclaims"]):
        assert not may(*request, "--namespace", LABS)
    assert not may("list", "pods", "--namespace", "jupyterlabdemo")
    assert not may("list", "nodes")
