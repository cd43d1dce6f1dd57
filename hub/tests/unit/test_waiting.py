"""How the hub waits for a lab that runs, and does not answer yet."""

from __future__ import annotations

import asyncio
import resource
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from labhub import spawner as spawners as spawner as spawners
from labhub.labs.pod_status import ABOUT
from labhub.labs.spawner import LabSpawner
from labhub.labs.reflector import PodWatch

KEY = "labs/lab-5150"
POD = {
    "metadata": {"name": "lab-5150", "uid": "1"},
    "status": {
        "podIP": "127.0.0.1",
        "conditions": [{"type": "PodScheduled", "status": "True"}],
        "containerStatuses": [{"name": "notebook", "state": {"running": {}}}],
    },
}


def waiting_for(port: int) -> Any:
    """Give as much of a spawner as waits for the lab at this port."""
    watch: Any = SimpleNamespace(pods={KEY: POD}, _changed={})
    watch.changed, watch.tell = partial(PodWatch.changed, watch), partial(PodWatch.tell, watch)
    spawner: Any = SimpleNamespace(
        pod_reflector=watch,
        events=[],
        pull_seconds=60,
        lab_seconds=60,
        unschedulable_seconds=60,
        _key=KEY,
        _known=lambda: POD,
        _get_pod_port=lambda _: port,
    )
    for name in ("_answers", "_wait", "look"):
        setattr(spawner, name, partial(getattr(LabSpawner, name), spawner))
    return spawner


@pytest.mark.asyncio
async def test_a_lab_that_reports_is_looked_at_without_waiting_and_often_until_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spawners, "LOOK_FIRST", 600)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    spawner = waiting_for(port)
    wait = asyncio.create_task(spawner._wait(spawner.pod_reflector))
    await asyncio.sleep(0.1)
    assert not wait.done(), "nobody listens there"
    monkeypatch.setattr(spawners, "LOOK_FIRST", 0.01)
    spawner.look()
    await asyncio.sleep(0.1)
    assert not wait.done()
    async with await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port):
        reached = await asyncio.wait_for(wait, 10)
    assert set(reached) >= {"scheduled", "started", "ready"}


@pytest.mark.asyncio
async def test_a_hub_that_may_open_no_more_files_looks_again_later() -> None:
    spawner = waiting_for(1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert not await spawner._answers(POD)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.asyncio
async def test_the_progress_says_what_is_waited_for_and_when_that_is_over() -> None:
    spawner = waiting_for(0)
    spawner._known, spawner._start_future, spawner._delay = lambda: None, None, ""
    progress: Any = LabSpawner.progress(spawner)
    assert (await anext(progress))["message"] == ABOUT["created"]
    spawner._delay = "Waiting for the shared storage"
    assert (await anext(progress))["message"] == "Waiting for the shared storage"
    spawner._delay = ""
    assert (await anext(progress))["message"] == ABOUT["created"]
    await progress.aclose()
