"""Tests of the launcher with a fake Kubernetes API, and with TCP ports of this machine instead of labs."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

import pytest
from kubernetes_asyncio.client import ApiException
from labhub.labs import launcher as launcher_module
from labhub.labs.launcher import LabLauncher, find_port, lab_url
from labhub.labs.pod_status import has_ended
from labhub.labs.spawn_errors import SpawnFailedError
from labhub.labs.start_tracker import StartLimits

from hub.tests.unit.conftest import Cluster
from hub.tests.unit.fake_api import make_pod, make_running_pod, send_events, wait_until

pytestmark = pytest.mark.asyncio
NAME = "lab-5150"
MANIFEST = make_pod(NAME)
BUSY = (429, "too many requests, please try again later")
QUOTA = (403, 'pods "lab-5150" is forbidden: exceeded quota: labs')
CONFLICT = (409, 'pods "lab-5150" already exists')
LIMITS = StartLimits(60, 60, 60)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher_module, "RETRY_PAUSE", 0.01)


async def free_port() -> int:
    """Return a port on which no process listens."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    return port


async def test_request_to_a_busy_api_is_repeated(
    cluster: Cluster, launcher: LabLauncher, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.api.answers = [BUSY]
    await launcher.create_pod(MANIFEST, leftover_timeout=5)
    assert cluster.api.created == [MANIFEST, MANIFEST]
    assert f"cannot create a pod now, retrying: ApiException: 429 {BUSY[1]}" in caplog.text


async def test_a_refused_pod_is_not_created_again(cluster: Cluster, launcher: LabLauncher) -> None:
    cluster.api.answers = [QUOTA]
    with pytest.raises(SpawnFailedError) as failed:
        await launcher.create_pod(MANIFEST, leftover_timeout=5)
    assert failed.value.diagnosis.reason == "quota"
    assert len(cluster.api.created) == 1


async def test_an_api_that_stays_busy_ends_the_spawn(
    cluster: Cluster, launcher: LabLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher_module, "RETRY_SECONDS", 0.05)
    cluster.api.answers = [BUSY] * 1000
    with pytest.raises(SpawnFailedError) as failed:
        await launcher.create_pod(MANIFEST, leftover_timeout=5)
    assert failed.value.diagnosis.reason == "api"


async def test_a_leftover_pod_is_deleted_first_and_can_save(cluster: Cluster, launcher: LabLauncher) -> None:
    cluster.api.pods = [MANIFEST]
    cluster.api.answers = [CONFLICT]
    waits: list[str] = []
    await launcher.create_pod(MANIFEST, leftover_timeout=5, on_leftover=lambda: waits.append(NAME))
    assert cluster.api.deleted == [(NAME, {"preconditions": {"uid": "uid-lab-5150"}})]
    assert len(cluster.api.created) == 2
    assert waits == [NAME]


async def test_unseen_leftover_causes_no_busy_loop(
    cluster: Cluster, launcher: LabLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher_module, "RETRY_SECONDS", 0.2)
    monkeypatch.setattr(launcher_module, "RETRY_PAUSE", 0.05)
    cluster.api.answers = [CONFLICT] * 1000
    with pytest.raises(SpawnFailedError) as failed:
        await launcher.create_pod(MANIFEST, leftover_timeout=5)
    assert failed.value.diagnosis.reason == "api"
    assert 1 < len(cluster.api.created) < 10


async def test_lasting_leftover_is_not_an_api_failure(cluster: Cluster, launcher: LabLauncher) -> None:
    cluster.api.pods, cluster.api.removes_pods = [MANIFEST], False
    cluster.api.answers = [CONFLICT] * 1000
    with pytest.raises(SpawnFailedError) as failed:
        await launcher.create_pod(MANIFEST, leftover_timeout=0.05)
    assert failed.value.diagnosis.reason == "leftover"
    assert f"Pod: {NAME}." in failed.value.diagnosis.detail


async def test_quota_conflict_is_retried(cluster: Cluster, launcher: LabLauncher) -> None:
    cluster.api.answers = [
        (409, 'Operation cannot be fulfilled on resourcequotas "labs": the object has been modified')
    ]
    await launcher.create_pod(MANIFEST, leftover_timeout=5)
    assert cluster.api.deleted == []
    assert len(cluster.api.created) == 2


async def test_a_pod_without_a_name_is_not_deleted(cluster: Cluster, launcher: LabLauncher) -> None:
    with pytest.raises(ValueError, match="cannot delete a pod without a name"):
        await launcher.remover.delete_pod("")
    assert cluster.api.deleted == []


async def test_a_lab_is_ready_when_its_port_answers(cluster: Cluster, launcher: LabLauncher) -> None:
    port = await free_port()
    cluster.api.pods = [make_running_pod(NAME, port)]
    start = asyncio.create_task(launcher.wait_until_ready(NAME, LIMITS))
    await wait_until(lambda: launcher.find_pod(NAME) is not None)
    assert not start.done(), "no process listens on the port"
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port):
        lab = await asyncio.wait_for(start, 60)
    assert set(lab.reached) == {"scheduled", "pulled", "started", "ready"}
    assert lab_url(lab.pod) == f"http://127.0.0.1:{port}"


async def test_activity_report_makes_the_launcher_connect_at_once(
    cluster: Cluster, launcher: LabLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher_module, "CONNECT_PAUSE_MIN", 600)
    port = await free_port()
    cluster.api.pods = [make_running_pod(NAME, port)]
    await launcher.pods.wait_until_loaded()
    start = asyncio.create_task(launcher.wait_until_ready(NAME, LIMITS))
    await wait_until(lambda: bool(launcher.pods._changes))
    monkeypatch.setattr(launcher_module, "CONNECT_PAUSE_MIN", 0.01)
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port):
        launcher.notify(NAME)
        lab = await asyncio.wait_for(start, 60)
    assert lab.reached["ready"] >= lab.reached["started"]


async def test_a_hub_without_free_file_descriptors_tries_again(cluster: Cluster, launcher: LabLauncher) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert not await launcher._accepts_connections(make_running_pod(NAME, 1))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_lab_that_ends_during_its_start_fails(cluster: Cluster, launcher: LabLauncher) -> None:
    pod = make_running_pod(NAME, await free_port())
    state = {"terminated": {"exitCode": 3, "reason": "Error", "message": "no module"}}
    ended = pod | {"status": {"phase": "Failed", "containerStatuses": [{"name": "notebook", "state": state}]}}
    cluster.api.pods = [pod]
    start = asyncio.create_task(launcher.wait_until_ready(NAME, LIMITS))
    cluster.api.watch = send_events({"type": "MODIFIED", "object": ended})
    with pytest.raises(SpawnFailedError, match="Your lab ended") as failed:
        await asyncio.wait_for(start, 60)
    assert "no module" in failed.value.diagnosis.detail


@pytest.mark.parametrize(
    ("pod", "runs"),
    [
        pytest.param(make_running_pod(NAME, 8888), True, id="running"),
        pytest.param(make_pod(NAME, status={"phase": "Failed"}), False, id="ended"),
    ],
)
async def test_a_restarted_hub_waits_for_a_starting_lab(
    cluster: Cluster, launcher: LabLauncher, pod: dict[str, Any], runs: bool
) -> None:
    cluster.api.pods = [make_pod(NAME)]
    await launcher.pods.wait_until_loaded()
    waiting = asyncio.create_task(launcher.wait_until_running(NAME, 60))
    cluster.api.watch = send_events({"type": "MODIFIED", "object": pod})
    found = await asyncio.wait_for(waiting, 60)
    assert (found == pod) is runs
    assert has_ended(pod) is not runs


async def test_only_the_pod_with_the_uid_is_deleted(cluster: Cluster, launcher: LabLauncher) -> None:
    cluster.api.pods = [MANIFEST]
    assert await launcher.remover.delete_pod(NAME, uid="uid-1")
    assert await launcher.remover.delete_pod(NAME), "deleting a missing pod succeeds"
    assert cluster.api.deleted == [(NAME, {"preconditions": {"uid": "uid-1"}}), (NAME, {})]
    cluster.api.is_down = True
    assert not await launcher.remover.delete_pod(NAME)


async def test_a_stop_waits_until_the_pod_is_gone(cluster: Cluster, launcher: LabLauncher) -> None:
    cluster.api.pods = [MANIFEST]
    await launcher.pods.wait_until_loaded()
    await launcher.remover.stop_pod(NAME, grace_period=1)
    assert launcher.find_pod(NAME) is None
    assert cluster.api.deleted == [(NAME, {"gracePeriodSeconds": 1})]


async def test_a_pod_is_read_from_the_api(cluster: Cluster, launcher: LabLauncher) -> None:
    cluster.api.pods = [MANIFEST]
    assert await launcher.remover.read_pod(NAME) == MANIFEST
    assert await launcher.remover.read_pod("lab-1") is None
    cluster.api.is_down = True
    with pytest.raises(ApiException):
        await launcher.remover.read_pod(NAME)


async def test_the_port_is_found_by_its_name() -> None:
    sidecar = {"name": "sidecar", "ports": [{"name": "metrics", "containerPort": 1}]}
    pod = make_running_pod(NAME, 7777)
    pod["spec"]["containers"].insert(0, sidecar)
    pod["status"]["podIP"] = "fd00::1"
    assert find_port(pod) == 7777
    assert lab_url(pod) == "http://[fd00::1]:7777"
    assert find_port({"spec": {"containers": [{"name": "notebook"}]}}) == 8888
