"""The probes, while the event loop runs and while it hangs."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from beatsrelay import health as probes
from beatsrelay.metrics import Metrics

from logstashrmq.tests.harness import wait_until


@pytest.mark.asyncio
async def test_a_loop_that_hangs_is_not_alive_and_is_again_when_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(probes, "STUCK_SECONDS", 0.5)
    metrics = Metrics()
    health = probes.Health(metrics, lambda: True)
    beating = asyncio.ensure_future(health.beat())
    url = f"http://127.0.0.1:{probes.serve('127.0.0.1', 0, health, metrics)}/live"
    assert (await asyncio.to_thread(httpx.get, url)).status_code == 200
    # Nothing is awaited here: it is this test that makes the loop hang.
    wait_until(lambda: httpx.get(url).status_code == 503, "the probe sees it")
    await asyncio.sleep(0.05)
    assert (await asyncio.to_thread(httpx.get, url)).status_code == 200
    beating.cancel()
