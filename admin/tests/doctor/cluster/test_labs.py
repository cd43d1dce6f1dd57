"""Tests of faults in the labs' namespace on a real cluster: no policy, no Pod Security, a full quota, no DNS."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from labtesting import cluster
from labtesting.cluster import LABS, kubectl
from labtesting.hub_process import wait_until

from admin.tests.doctor.cluster.conftest import call_doctor
from admin.tests.doctor.cluster.objects import patched
from tools.components import ROOT


@pytest.mark.usefixtures("deployment")
def test_missing_network_policy_of_labs_is_reported() -> None:
    kubectl("delete", "networkpolicy", "labs", "--namespace", LABS)
    try:
        report = call_doctor("objects", "policy")
    finally:
        kubectl("apply", "--filename", ROOT / "hub/kubernetes/labs-networkpolicy.yaml")
    assert "NetworkPolicy labs in jupyterlabdemo-labs is missing" in report.failed("objects")
    assert "a lab can reach the Kubernetes API" in report.failed("policy")
    assert "kubectl apply -f hub/kubernetes" in report.failed("policy")


@pytest.mark.usefixtures("deployment")
def test_privileged_namespace_of_labs_is_reported() -> None:
    key = "pod-security.kubernetes.io/enforce"
    change, back = ({"metadata": {"labels": {key: value}}} for value in ("privileged", "restricted"))
    with patched("namespace", LABS, change, back):
        failures = call_doctor("pod-security").failed("pod-security")
    assert f"found the label {key}=privileged, wanted restricted" in failures
    assert "would accept a privileged pod" in failures


@pytest.mark.usefixtures("deployment")
def test_exhausted_quota_of_labs_is_reported() -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": LABS}}
    cluster.apply(quota | {"spec": {"hard": {"pods": "0"}}})

    def counts() -> bool:
        return bool(cluster.get("resourcequota", "none", namespace=LABS).get("status", {}).get("hard"))

    try:
        wait_until(counts, "the quota is in effect", 30)
        report = call_doctor("probe", "policy")
    finally:
        kubectl("delete", "resourcequota", "none", "--namespace", LABS)
    assert "exceeded quota" in report.failed("probe")
    assert report.messages("skipped") == [("policy", "the probe did not run (see probe)")]


@pytest.mark.usefixtures("deployment")
def test_blocked_dns_of_labs_is_reported() -> None:
    file = ROOT / "hub/kubernetes/labs-networkpolicy.yaml"
    policy: dict[str, Any] = yaml.safe_load(file.read_text())
    rules = policy["spec"]["egress"]
    policy["spec"]["egress"] = [rule for rule in rules if 53 not in [port["port"] for port in rule.get("ports", [])]]
    assert len(policy["spec"]["egress"]) == len(rules) - 1

    def is_reported() -> bool:
        report = call_doctor("probe", "dns")
        assert report.failed("probe") == ""
        return "a lab cannot resolve hub.jupyterlabdemo: " in report.failed("dns")

    cluster.apply(policy)
    try:
        # The network plugin may need some seconds to apply the policy.
        wait_until(is_reported, "the doctor reports it")
    finally:
        kubectl("apply", "--filename", file)
