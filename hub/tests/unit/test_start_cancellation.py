"""Tests of the cancellation of a pending start, and of a restarted hub that continues a start.

The tests use a real JupyterHub user and a fake Kubernetes API. `cluster/test_waiting.py` uses the real handlers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.spawner import SpawnException  # type: ignore[import-untyped]
from labhub.labs import launcher, pod_removal
from labhub.labs.spawner import LabSpawner
from labhub.lifecycle.startup import check_running_labs
from labhub.telemetry import metrics
from labhub.web.start_cancellation import BUSY_STATUS, cancel_start, check_stop_allowed
from tornado import web

from hub.tests.unit.fake_api import make_running_pod, wait_until
from hub.tests.unit.test_spawner import NAME, Lab, fileserver, lab
from hub.tests.unit.test_start_problem import unscheduled
from hub.tests.unit.test_start_tracker import NOT_FOUND

__all__ = ["fileserver", "lab"]  # so that pytest finds these fixtures
pytestmark = pytest.mark.asyncio
FULL = unscheduled("0/1 nodes are available: 1 Insufficient memory.")["status"]


@dataclass
class FakeProxy:
    """A proxy that records the routes that the hub adds and deletes.

    Attributes
    ----------
    error
        Error that each deletion of a route raises, or None.
    """

    routes: list[str] = field(default_factory=list)
    error: Exception | None = None

    async def add_user(self, user: Any, _name: str) -> None:
        self.routes.append(f"add {user.name}")

    async def delete_user(self, user: Any, _name: str) -> None:
        if self.error:
            raise self.error
        self.routes.append(f"delete {user.name}")


def begin_start(lab: Lab, route: asyncio.Event | None = None) -> None:
    """Start the lab, and mark the start as pending as `BaseHandler.spawn_single_user` does.

    Parameters
    ----------
    route
        Event for which the start waits before it is complete, as if the proxy was slow to add the route.
    """
    spawner = lab.spawner
    spawner._spawn_pending = True

    async def finish_start() -> None:
        await lab.start()
        if route:
            spawner._proxy_pending = True
            await route.wait()

    future = spawner._spawn_future = asyncio.ensure_future(finish_start())

    def note_end(ended: asyncio.Future[None]) -> None:
        if ended.cancelled() or ended.exception() is None:
            spawner._spawn_future = None
        spawner._spawn_pending = False

    future.add_done_callback(note_end)


def cancelled_starts() -> float:
    """Return the value of the metric that counts cancelled starts."""
    return float(metrics.FAILURES.labels("cancelled")._value.get())


async def wait_for_node(lab: Lab) -> LabSpawner:
    """Start the lab on a full cluster, and wait until the hub knows the pod of the lab."""
    lab.cluster.api.pending_status = FULL
    begin_start(lab)
    await wait_until(lambda: lab.launcher.find_pod(NAME) is not None)
    return lab.spawner


def assert_released(lab: Lab) -> None:
    """Check that the hub has no lab of the user, and that the fake Kubernetes API has no pod."""
    assert lab.cluster.api.pods == []
    assert "" not in lab.user.spawners
    assert lab.user.orm_user.orm_spawners[""].server is None
    assert lab.user.orm_user.orm_spawners[""].state == {"last_end": None}


async def test_a_start_that_waits_for_a_node_is_cancelled(lab: Lab) -> None:
    before, proxy = cancelled_starts(), FakeProxy()
    spawner = await wait_for_node(lab)
    assert await cancel_start(proxy, lab.user, spawner)
    assert_released(lab)
    assert proxy.routes == ["delete ada"]
    assert cancelled_starts() == before + 1
    lab.cluster.api.pending_status = None
    await wait_until(lambda: lab.launcher.find_pod(NAME) is None)
    await lab.start()
    assert lab.spawner.ready


async def test_a_second_request_waits_for_the_first(lab: Lab) -> None:
    before, proxy = cancelled_starts(), FakeProxy()
    spawner = await wait_for_node(lab)
    first = asyncio.ensure_future(cancel_start(proxy, lab.user, spawner))
    await asyncio.sleep(0)
    assert spawner.pending
    assert await cancel_start(proxy, lab.user, spawner)
    assert await first
    assert_released(lab)
    assert proxy.routes == ["delete ada"]
    assert cancelled_starts() == before + 1


async def test_no_other_start_begins_during_a_cancellation(lab: Lab) -> None:
    spawner = await wait_for_node(lab)
    cancellation = asyncio.ensure_future(cancel_start(FakeProxy(), lab.user, spawner))
    while not cancellation.done():
        assert spawner.pending in {"spawn", "stop"} or "" not in lab.user.spawners
        await asyncio.sleep(0)
    assert_released(lab)


async def test_a_pod_that_is_being_created_is_deleted(lab: Lab) -> None:
    api = lab.cluster.api
    api.pending_status, api.creation_gate = FULL, asyncio.Event()
    begin_start(lab)
    await wait_until(lambda: api.created != [])
    cancellation = asyncio.ensure_future(cancel_start(FakeProxy(), lab.user, lab.spawner))
    done, _ = await asyncio.wait([cancellation], timeout=0.2)
    assert not done, "the cancellation waits for the answer of the API"
    api.creation_gate.set()
    assert await cancellation
    assert_released(lab)


async def test_a_lab_that_becomes_ready_at_the_same_time_is_stopped(lab: Lab) -> None:
    begin_start(lab, asyncio.Event())
    spawner = lab.spawner
    await wait_until(lambda: spawner._proxy_pending)
    assert await cancel_start(FakeProxy(), lab.user, spawner)
    assert lab.cluster.api.pods == []
    assert not spawner.active


async def test_cancellation_works_without_the_proxy(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    spawner = await wait_for_node(lab)
    assert await cancel_start(FakeProxy(error=OSError("no route")), lab.user, spawner)
    assert_released(lab)
    assert "the route of the lab of ada stays until the proxy answers" in caplog.text


async def test_cancellation_works_without_the_api(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pod_removal, "RETRY_SECONDS", 0.05)
    monkeypatch.setattr(pod_removal, "RETRY_PAUSE", 0.01)
    spawner = await wait_for_node(lab)
    lab.cluster.api.is_down = True
    assert await cancel_start(FakeProxy(), lab.user, spawner)
    assert not spawner.active
    assert "its pod stays for now" in caplog.text


@pytest.mark.parametrize("flag", ["_check_pending", "_spawn_pending"])
async def test_a_lab_that_is_checked_or_recovered_is_not_stopped(lab: Lab, flag: str) -> None:
    setattr(lab.spawner, flag, True)
    with pytest.raises(web.HTTPError) as refused:
        check_stop_allowed(lab.spawner)
    assert refused.value.status_code == BUSY_STATUS


async def restart_hub(lab: Lab) -> FakeProxy:
    """Discard the hub's state in memory, as if the hub was killed. Then check all labs as a restarted hub does."""
    if start := lab.spawner._spawn_future:
        start.cancel()
        await asyncio.wait([start])
    lab.user.spawners.clear()
    proxy = FakeProxy()
    users = {lab.user.orm_user: lab.user}
    authenticator = SimpleNamespace(blocked_users=set())
    app: Any = SimpleNamespace(db=lab.user.db, users=users, proxy=proxy, authenticator=authenticator)
    await check_running_labs(app)
    return proxy


async def test_a_restarted_hub_continues_a_start(lab: Lab) -> None:
    port = lab.cluster.api.running_port
    assert port
    await wait_for_node(lab)
    proxy = await restart_hub(lab)
    assert lab.spawner.pending == "spawn"
    progress: Any = lab.spawner.progress()
    assert "1 Insufficient memory" in (await anext(progress))["message"]
    await progress.aclose()
    lab.cluster.api.pods = [make_running_pod(NAME, port, version=9)]
    await wait_until(lambda: lab.spawner.ready)
    assert (lab.spawner.server.ip, lab.spawner.server.port) == ("127.0.0.1", port)
    assert proxy.routes == ["add ada"]
    assert await lab.spawner.poll() is None


async def test_a_continued_start_that_fails_is_explained(lab: Lab) -> None:
    await wait_for_node(lab)
    proxy = await restart_hub(lab)
    spawner = lab.spawner
    lab.cluster.api.pods = [{**lab.cluster.api.pods[0], "status": NOT_FOUND["status"]}]
    await wait_until(lambda: not spawner.pending)
    failure = spawner._spawn_future.exception()
    assert isinstance(failure, SpawnException)
    assert failure.reason == "image"
    assert spawner._failed
    assert lab.cluster.api.pods == []
    assert lab.user.orm_user.orm_spawners[""].server is None
    assert proxy.routes == []


async def test_a_continued_start_is_cancelled(lab: Lab) -> None:
    await wait_for_node(lab)
    proxy = await restart_hub(lab)
    assert await cancel_start(proxy, lab.user, lab.spawner)
    assert_released(lab)


async def test_a_restarted_hub_keeps_a_running_lab(lab: Lab) -> None:
    await lab.start()
    proxy = await restart_hub(lab)
    assert lab.spawner.ready
    assert lab.spawner._spawn_future is None
    assert proxy.routes == []


async def test_the_launcher_creates_no_pod_after_a_cancellation(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "RETRY_PAUSE", 60)
    lab.cluster.api.answers = [(429, "too many requests")]
    begin_start(lab)
    await wait_until(lambda: lab.cluster.api.answers == [])
    assert await cancel_start(FakeProxy(), lab.user, lab.spawner)
    assert_released(lab)
    assert len(lab.cluster.api.created) == 1
