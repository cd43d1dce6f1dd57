"""Tests of the liveness probe: while all reflectors work, and after one reflector has died."""

from __future__ import annotations

import pytest
from labhub.labs.launcher import LabLauncher
from labhub.web.health import IDLE_SECONDS_MAX, find_dead_reflector

from hub.tests.unit.conftest import Cluster, stop
from hub.tests.unit.fake_api import wait_until

pytestmark = pytest.mark.asyncio


async def test_hub_is_live_while_its_reflectors_retry(cluster: Cluster, launcher: LabLauncher) -> None:
    cluster.api.is_down = True
    reflectors = (launcher.pods, launcher.events)
    for reflector in reflectors:
        reflector.seen_at = reflector.tried_at = reflector.tried_at - 2 * IDLE_SECONDS_MAX
    assert find_dead_reflector(reflectors) == "the watch of pods has made no attempt for 240 s"
    await wait_until(lambda: max(launcher.pods.idle, launcher.events.idle) < IDLE_SECONDS_MAX)
    assert min(launcher.pods.age, launcher.events.age) > IDLE_SECONDS_MAX
    assert find_dead_reflector(reflectors) == ""


async def test_stopped_reflector_fails_the_liveness_probe(launcher: LabLauncher) -> None:
    reflectors = (launcher.pods, launcher.events)
    for reflector in reflectors:
        await reflector.wait_until_loaded()
    assert find_dead_reflector(reflectors) == ""
    await stop(launcher.events._task)
    launcher.events.tried_at -= IDLE_SECONDS_MAX + 1
    assert find_dead_reflector(reflectors).startswith("the watch of events has made no attempt for 12")
