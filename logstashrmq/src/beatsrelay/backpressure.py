"""How much may be in flight: who wants more waits in line, and is not read from meanwhile."""

from __future__ import annotations

import asyncio

from beatsrelay.metrics import Metrics


class Budget:
    """A bound on events and bytes, given out first come, first served.

    Whoever finds room takes all it has, so it is overdrawn by one chunk at most. What that is need not be known before:
    who waits has nothing inflated yet.
    """

    def __init__(self, events: int, size: int, metrics: Metrics) -> None:
        self._events = events
        self._size = size
        self._metrics = metrics
        self._line = asyncio.Lock()  # whoever has it is the first in line
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Wait in line for room. Take it before anything else is awaited: the next in line goes on then."""
        with self._metrics.waiting.track_inprogress():
            async with self._line:
                await self._room.wait()

    def take(self, events: int, size: int) -> None:
        """Take room."""
        self._change(-events, -size)

    def give_back(self, events: int, size: int) -> None:
        """Make room."""
        self._change(events, size)

    def _change(self, events: int, size: int) -> None:
        self._events += events
        self._size += size
        self._metrics.in_flight.dec(events)
        self._metrics.in_flight_bytes.dec(size)
        if self._events > 0 and self._size > 0:
            self._room.set()
        else:
            self._room.clear()
