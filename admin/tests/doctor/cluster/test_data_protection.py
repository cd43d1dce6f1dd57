"""Tests with a site that does not protect its data: no policy, a forgotten annotation, a wrong reclaim policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from labtesting import cluster
from labtesting.cluster import LABS, NAMESPACE, kubectl
from labtesting.hub_process import wait_until

from admin.tests.doctor.cluster.conftest import Report, call_doctor
from admin.tests.doctor.cluster.objects import patched
from tools.components import ROOT

ALLOW_KEY = cluster.ALLOW_DELETION.partition("=")[0]
RECLAIM = "persistentVolumeReclaimPolicy"


def data_policy() -> Report:
    return call_doctor("data-policy")


@contextmanager
def restored() -> Iterator[None]:
    """Apply the policy at the end, and wait until it is in force."""
    try:
        yield
    finally:
        cluster.delete_data_policy()
        kubectl("apply", "--filename", ROOT / "hub/kubernetes")
        wait_until(lambda: data_policy().status == 0, "the policy is in force again")


@pytest.mark.usefixtures("deployment")
def test_missing_data_policy_is_reported() -> None:
    with restored():
        cluster.delete_data_policy()
        wait_until(lambda: data_policy().status == 1, "the policy is not in force any more")
        report = call_doctor("data-policy", "objects")
    failures = report.failed("data-policy")
    for name in (f"namespace/{NAMESPACE}", f"namespace/{LABS}", "persistentvolumeclaim/hub", "persistentvolume/"):
        assert name in failures
    assert "ValidatingAdmissionPolicy jupyterlabdemo-data is missing" in report.failed("objects")


@pytest.mark.usefixtures("deployment")
def test_deleted_policy_still_in_force_is_a_warning() -> None:
    with restored():
        kubectl("delete", "--filename", ROOT / "hub/kubernetes/data-validatingadmissionpolicy.yaml", "--wait=false")
        report = data_policy()
    ((_, message),) = report.messages("warning")
    assert message.startswith("the validatingadmissionpolicy jupyterlabdemo-data was deleted")


@pytest.mark.usefixtures("deployment")
def test_forgotten_annotation_is_reported() -> None:
    kubectl("annotate", "pvc", "hub", "--namespace", NAMESPACE, cluster.ALLOW_DELETION)
    try:
        failures = data_policy().failed("data-policy")
    finally:
        kubectl("annotate", "pvc", "hub", "--namespace", NAMESPACE, f"{ALLOW_KEY}-")
    assert "the API server would delete persistentvolumeclaim/hub; wanted a refusal" in failures
    assert f"kubectl -n {NAMESPACE} annotate persistentvolumeclaim hub {ALLOW_KEY}-" in failures


@pytest.mark.usefixtures("deployment")
def test_reclaim_policy_delete_is_reported() -> None:
    volume = cluster.get("pvc", "hub")["spec"]["volumeName"]
    change, back = ({"spec": {RECLAIM: policy}} for policy in ("Delete", "Retain"))
    with patched("pv", volume, change, back):
        report = call_doctor("reclaim-policy")
    # The doctor only warns about a volume younger than ten minutes. In a slow test run the volume is older, and the
    # doctor reports a failure.
    ((_, message),) = report.messages("warning") + report.messages("failed")
    assert f"the volume {volume} of the claim hub has the reclaim policy Delete, wanted Retain" in message
    assert call_doctor("reclaim-policy").status == 0
