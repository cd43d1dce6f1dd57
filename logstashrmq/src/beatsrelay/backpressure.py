"""The limit on events in flight: received from Beats, and not confirmed by RabbitMQ yet."""

from __future__ import annotations

import asyncio

from beatsrelay.metrics import Metrics


class InFlightLimit:
    """A limit on events and bytes in flight, over all connections. Connections wait for capacity in order.

    The limit is exceeded by one chunk at most: a connection may add a chunk of any size while capacity is above zero.
    The size of a chunk is unknown at that time, because a waiting connection has not inflated its data.

    Parameters
    ----------
    events, size
        The limit on events, and on bytes.
    """

    def __init__(self, events: int, size: int, metrics: Metrics) -> None:
        self._free_events = events
        self._free_bytes = size
        self._metrics = metrics
        self._queue = asyncio.Lock()  # fair: it wakes the longest waiting task first
        self._has_capacity = asyncio.Event()
        self._has_capacity.set()

    async def wait_for_capacity(self) -> None:
        """Wait in order for capacity. Call `add` before the next `await`, at which the next waiting task may run."""
        with self._metrics.waiting.track_inprogress():
            async with self._queue:
                await self._has_capacity.wait()

    def add(self, events: int, size: int) -> None:
        """Count events of `size` bytes as in flight."""
        self._change(events, size)

    def remove(self, events: int, size: int) -> None:
        """Count events of `size` bytes as no longer in flight."""
        self._change(-events, -size)

    def _change(self, events: int, size: int) -> None:
        self._free_events -= events
        self._free_bytes -= size
        self._metrics.in_flight.inc(events)
        self._metrics.in_flight_bytes.inc(size)
        if self._free_events > 0 and self._free_bytes > 0:
            self._has_capacity.set()
        else:
            self._has_capacity.clear()
