"""How much may be in flight: who wants more waits in line, and is not read from meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque

from beatsrelay.metrics import Metrics

Turn = tuple[asyncio.Future[None], int, int]


class Budget:
    """A bound on events and bytes, given out first come, first served.

    Whoever comes while anything is left gets all it asks for, so it is overdrawn by one chunk at most.
    """

    def __init__(self, events: int, size: int, metrics: Metrics) -> None:
        self._events = events
        self._size = size
        self._metrics = metrics
        self._line: deque[Turn] = deque()

    def take_now(self, events: int, size: int) -> bool:
        """Take room if there is some and nobody waits for it."""
        if self._line or self._events <= 0 or self._size <= 0:
            return False
        self._change(-events, -size)
        return True

    async def take(self, events: int, size: int) -> None:
        """Wait for room, and take it."""
        turn = (asyncio.get_running_loop().create_future(), events, size)
        self._line.append(turn)
        self._admit()
        try:
            await turn[0]
        except asyncio.CancelledError:
            if turn in self._line:
                self._line.remove(turn)
                self._admit()
            else:
                self.give_back(events, size)
            raise

    def give_back(self, events: int, size: int) -> None:
        """Make room."""
        self._change(events, size)
        self._admit()

    def _admit(self) -> None:
        while self._line and self._events > 0 and self._size > 0:
            turn, events, size = self._line.popleft()
            self._change(-events, -size)
            if not turn.done():
                turn.set_result(None)
        self._metrics.waiting.set(len(self._line))

    def _change(self, events: int, size: int) -> None:
        self._events += events
        self._size += size
        self._metrics.in_flight.dec(events)
        self._metrics.in_flight_bytes.dec(size)
