"""Tests of the liveness probe while the event loop runs, and while the event loop is blocked."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from beatsrelay import health
from beatsrelay.metrics import Metrics
from beatsrelay.shared import probe_server

from logstashrmq.tests.harness import wait_until


@pytest.mark.asyncio
async def test_relay_is_not_live_while_its_loop_is_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MEASURE_SECONDS", 0.01)
    monkeypatch.setattr(health, "BLOCKED_SECONDS", 0.5)
    metrics = Metrics()
    state = health.Health(metrics, lambda: True)
    monitoring = asyncio.ensure_future(state.monitor_event_loop())
    server = probe_server.serve("127.0.0.1", 0, metrics.registry, {"/live": state.is_live})
    url = f"http://127.0.0.1:{server.server_address[1]}/live"
    assert (await asyncio.to_thread(httpx.get, url)).status_code == 200
    # wait_until sleeps without `await`, so this test blocks the event loop, as the scenario requires.
    wait_until(lambda: httpx.get(url).status_code == 503, "the probe reports that the relay is not live")
    await asyncio.sleep(0.05)
    assert (await asyncio.to_thread(httpx.get, url)).status_code == 200
    monitoring.cancel()
    await asyncio.to_thread(server.shutdown)
    server.server_close()
