"""The limit on events in flight: events received from Beats that RabbitMQ has not confirmed yet."""

from __future__ import annotations

import asyncio

from beatsrelay.metrics import Metrics


class InFlightLimit:
    """A limit on the events and bytes in flight of all connections together.

    Connections that wait for capacity continue in the order of their calls. At most one chunk can exceed the limit:
    while any capacity is left, a connection may add a chunk of any size. The size of a chunk is not known before the
    wait, because a connection inflates its data only after the wait.

    Parameters
    ----------
    events, size
        The maximum number of events, and of bytes, in flight.
    """

    def __init__(self, events: int, size: int, metrics: Metrics) -> None:
        self._free_events = events
        self._free_bytes = size
        self._metrics = metrics
        self._queue = asyncio.Lock()  # asyncio.Lock is fair: the longest waiting task is woken first
        self._has_capacity = asyncio.Event()
        self._has_capacity.set()

    async def wait_for_capacity(self) -> None:
        """Wait for capacity. Waiting tasks continue in the order of their calls.

        After this call, call `add` before the next `await`. During an `await`, the next waiting task may use the same
        capacity.
        """
        with self._metrics.waiting.track_inprogress():
            async with self._queue:
                await self._has_capacity.wait()

    def add(self, events: int, size: int) -> None:
        """Count `events` events with a total of `size` bytes as in flight."""
        self._change(events, size)

    def remove(self, events: int, size: int) -> None:
        """Subtract `events` events with a total of `size` bytes from those in flight."""
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
