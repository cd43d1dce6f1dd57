"""Liveness and readiness of the relay. The probe server calls these checks in a thread outside the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from beatsrelay.metrics import Metrics

MEASURE_SECONDS = 0.5
# Processing a window takes milliseconds. So the probe assumes that an event loop that is blocked for this time will not
# recover.
BLOCKED_SECONDS = 30


class Health:
    """The state of the relay that the liveness and readiness probes report.

    Parameters
    ----------
    is_ready
        Function that returns whether the relay is ready: it has opened a session with RabbitMQ, and no shutdown has
        started.
    """

    def __init__(self, metrics: Metrics, is_ready: Callable[[], bool]) -> None:
        self._metrics = metrics
        self._last_run = time.monotonic()
        self.is_ready = is_ready

    def is_live(self) -> bool:
        """Check whether the event loop runs.

        The broker's state does not count, because a restart could not end an outage.
        """
        return time.monotonic() - self._last_run < BLOCKED_SECONDS

    async def monitor_event_loop(self) -> None:
        """Record regularly that the event loop runs, and its delay in seconds, until this task is cancelled."""
        while True:
            start = time.monotonic()
            await asyncio.sleep(MEASURE_SECONDS)
            self._last_run = time.monotonic()
            self._metrics.loop_lag.set(max(0, self._last_run - start - MEASURE_SECONDS))
