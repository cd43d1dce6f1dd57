"""Tests of the removal of pods with a fake Kubernetes API. tests/cluster/test_dead_node.py powers off a real node."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from labhub.labs import pod_removal
from labhub.labs.launcher import LabLauncher
from labhub.labs.pod_removal import KUBELET_SECONDS, NodeState, diagnose_leftover, is_cut_off, is_overdue
from labhub.labs.spawn_errors import SpawnFailedError

from hub.tests.unit.conftest import Cluster
from hub.tests.unit.fake_api import deletion_fields, make_pod, make_running_pod, wait_until

NAME, NODE, UID = "lab-5150", "node1", "uid-lab-5150"
BY_FORCE = (NAME, {"preconditions": {"uid": UID}, "gracePeriodSeconds": 0})
OVERDUE = deletion_fields(30, age=31 + KUBELET_SECONDS)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_removal, "RETRY_PAUSE", 0.01)
    monkeypatch.setattr(pod_removal, "NODE_CHECK_SECONDS", 0.05)


def lab_pod(ready: str = "True", **metadata: Any) -> dict[str, Any]:
    """Return the pod of a running lab on the node `NODE`. The condition `Ready` of the pod has the given status."""
    pod = make_running_pod(NAME, 8888)
    pod["metadata"] |= metadata
    pod["spec"]["nodeName"] = NODE
    pod["status"]["conditions"].append({"type": "Ready", "status": ready})
    return pod


async def load(cluster: Cluster, launcher: LabLauncher, pod: dict[str, Any], **nodes: str) -> None:
    """Add a pod and nodes to the fake API, and wait until the reflector knows the pod.

    In this cluster, a deleted pod disappears only if it is removed by force.
    """
    cluster.api.removes_pods = False
    cluster.api.pods, cluster.api.nodes = [pod], nodes
    await wait_until(lambda: launcher.find_pod(NAME) is not None)


def count_forced(cluster: Cluster) -> int:
    """Return the number of requests to remove a pod by force, which have a grace period of 0."""
    return sum(options.get("gracePeriodSeconds") == 0 for _, options in cluster.api.deleted)


@pytest.mark.asyncio
@pytest.mark.parametrize("nodes", [{NODE: "Unknown"}, {}], ids=["unreachable", "deleted"])
async def test_a_leftover_on_a_dead_node_is_removed_by_force(
    cluster: Cluster, launcher: LabLauncher, nodes: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    await load(cluster, launcher, lab_pod(), **nodes)
    await launcher.remover.remove_leftover(NAME, 60)
    assert cluster.api.deleted == [(NAME, {"preconditions": {"uid": UID}}), BY_FORCE]
    assert f"removing the pod labs/{NAME} by force: its node {NODE} is not ready" in caplog.text


@pytest.mark.asyncio
async def test_a_leftover_that_can_still_save_is_not_forced(cluster: Cluster, launcher: LabLauncher) -> None:
    await load(cluster, launcher, lab_pod(**deletion_fields(30)), **{NODE: "False"})
    with pytest.raises(SpawnFailedError) as failed:
        await launcher.remover.remove_leftover(NAME, 0.2)
    assert failed.value.diagnosis == diagnose_leftover(lab_pod())
    assert cluster.api.deleted == []


@pytest.mark.asyncio
async def test_an_overdue_leftover_on_a_broken_node_is_forced(cluster: Cluster, launcher: LabLauncher) -> None:
    await load(cluster, launcher, lab_pod(**OVERDUE), **{NODE: "False"})
    await launcher.remover.remove_leftover(NAME, 60)
    assert cluster.api.deleted == [BY_FORCE]


@pytest.mark.asyncio
@pytest.mark.parametrize("node_status", [200, 403, 500], ids=["ready", "no permission", "API error"])
async def test_a_leftover_is_not_forced_unless_the_node_is_lost(
    cluster: Cluster, launcher: LabLauncher, node_status: int
) -> None:
    cluster.api.node_status = node_status
    await load(cluster, launcher, lab_pod(**OVERDUE), **{NODE: "True"})
    with pytest.raises(SpawnFailedError) as failed:
        await launcher.remover.remove_leftover(NAME, 0.2)
    assert (failed.value.diagnosis.reason, failed.value.diagnosis.detail) == ("leftover", f"Pod: {NAME}. Node: {NODE}")
    assert cluster.api.deleted == []


@pytest.mark.asyncio
@pytest.mark.parametrize("ready", ["True", "Unknown"])
async def test_a_finalizer_is_named_and_not_removed(cluster: Cluster, launcher: LabLauncher, ready: str) -> None:
    held = lab_pod(finalizers=["example.org/hold"], **deletion_fields(0))
    await load(cluster, launcher, held, **{NODE: ready})
    with pytest.raises(SpawnFailedError) as failed:
        await launcher.remover.remove_leftover(NAME, 0.2)
    assert failed.value.diagnosis.reason == "finalizer"
    assert failed.value.diagnosis.detail == f"Pod: {NAME}. Finalizers: example.org/hold"
    assert cluster.api.pods[0]["metadata"]["finalizers"] == ["example.org/hold"]
    assert count_forced(cluster) <= 1, "the pod is not removed by force again and again"


@pytest.mark.asyncio
async def test_a_stop_does_not_wait_for_a_dead_node(
    cluster: Cluster, launcher: LabLauncher, caplog: pytest.LogCaptureFixture
) -> None:
    await load(cluster, launcher, lab_pod(), **{NODE: "Unknown"})
    await asyncio.wait_for(launcher.remover.stop_pod(NAME, grace_period=600), 60)
    assert cluster.api.deleted == [(NAME, {"gracePeriodSeconds": 600})], "the pod is not removed by force"
    assert f"the pod labs/{NAME} still exists: its node {NODE} does not answer" in caplog.text


@pytest.mark.asyncio
async def test_a_stop_on_a_known_dead_node_returns_at_once(
    cluster: Cluster, launcher: LabLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_removal, "NODE_CHECK_SECONDS", 600)
    await load(cluster, launcher, lab_pod(ready="False"), **{NODE: "Unknown"})
    await asyncio.wait_for(launcher.remover.stop_pod(NAME, grace_period=600), 60)


@pytest.mark.asyncio
async def test_a_stop_does_not_wait_for_a_finalizer(
    cluster: Cluster, launcher: LabLauncher, caplog: pytest.LogCaptureFixture
) -> None:
    await load(cluster, launcher, lab_pod(finalizers=["example.org/hold"], **deletion_fields(0)), **{NODE: "True"})
    await asyncio.wait_for(launcher.remover.stop_pod(NAME, grace_period=0), 60)
    assert "Finalizers: example.org/hold" in caplog.text


@pytest.mark.asyncio
async def test_a_stop_ends_after_its_timeout(
    cluster: Cluster, launcher: LabLauncher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pod_removal, "KUBELET_SECONDS", -1)
    await load(cluster, launcher, lab_pod(), **{NODE: "True"})
    await launcher.remover.stop_pod(NAME, grace_period=1)
    assert f"the pod labs/{NAME} still exists: Your previous lab is still stopping." in caplog.text


@pytest.mark.asyncio
async def test_stop_without_the_api_is_a_timeout(
    cluster: Cluster, launcher: LabLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_removal, "RETRY_SECONDS", 0.2)
    cluster.api.is_down = True
    with pytest.raises(TimeoutError):
        await launcher.remover.stop_pod(NAME, grace_period=1)


@pytest.mark.asyncio
@pytest.mark.parametrize(("ready", "grace_period"), [("True", 1), ("False", 0), ("Unknown", 0)])
async def test_a_pod_is_deleted_at_once_by_force_only_on_a_lost_node(
    cluster: Cluster, launcher: LabLauncher, ready: str, grace_period: int
) -> None:
    await load(cluster, launcher, lab_pod(), **{NODE: ready})
    await launcher.remover.delete_at_once(NAME)
    assert cluster.api.deleted == [(NAME, {"gracePeriodSeconds": grace_period})]


@pytest.mark.asyncio
async def test_a_pod_without_a_node_has_no_lost_node(cluster: Cluster, launcher: LabLauncher) -> None:
    assert await launcher.remover.read_node_state(make_pod(NAME)) is NodeState.READY


@pytest.mark.parametrize(
    ("pod", "cut_off"),
    [
        (lab_pod(), False),
        (lab_pod(ready="False"), True),
        (lab_pod(ready="False", **deletion_fields(3600)), False),
        (lab_pod(**OVERDUE), True),
        (make_pod(NAME), False),
    ],
    ids=["running", "node not ready", "stopping", "overdue", "starting"],
)
def test_a_lab_without_its_node_is_recognized(pod: dict[str, Any], cut_off: bool) -> None:
    assert is_cut_off(pod) is cut_off


def test_pod_is_overdue_after_grace_period_and_kubelet_delay() -> None:
    assert not is_overdue(lab_pod(**deletion_fields(30, age=30 + KUBELET_SECONDS // 2)))
    assert is_overdue(lab_pod(**OVERDUE))
