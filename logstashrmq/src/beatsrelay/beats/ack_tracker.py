"""What one connection is owed: portions of windows, acknowledged in the order in which they came."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

WINDOWS = 2


@dataclass(eq=False)
class Portion:
    """Part of a window.

    Attributes
    ----------
    sequence
        What acknowledges it and all before it.
    last
        Whether the window ends with it.
    safe
        Whether the broker has all of it.
    began
        When it came.
    """

    sequence: int
    last: bool
    safe: bool = False
    began: float = field(default_factory=time.monotonic)


class Ledger:
    """The open portions of a connection.

    Parameters
    ----------
    acknowledge
        Sends a sequence number to the peer.
    finished
        Called with the seconds that a window took.

    Attributes
    ----------
    asked
        When what came last began to wait for room.
    """

    def __init__(self, acknowledge: Callable[[int], None], finished: Callable[[float], None]) -> None:
        self._acknowledge = acknowledge
        self._finished = finished
        self._portions: deque[Portion] = deque()
        self._windows = 0
        self._began: float | None = None
        self._safe = 0
        self._spoke = self.asked = time.monotonic()
        self._waits = False
        self._changed = asyncio.Event()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Keep the peer alive while what it has sent waits for room."""
        self.asked = time.monotonic()
        self._count_from(self.asked)
        self._waits = True
        try:
            yield
        finally:
            self._waits = False

    def add(self, portion: Portion) -> None:
        """Owe a portion."""
        self._count_from(portion.began)
        self._portions.append(portion)
        self._windows += portion.last

    def settle(self, portion: Portion) -> None:
        """Take a portion for safe, and acknowledge each window that is whole by it."""
        portion.safe = True
        while self._portions and self._portions[0].safe:
            done = self._portions.popleft()
            self._began = self._began or done.began
            self._safe = done.sequence
            if done.last:
                self._finished(time.monotonic() - self._began)
                self._began, self._safe = None, 0
                self._windows -= 1
                self._say(done.sequence)
        self._changed.set()

    @property
    def _owes(self) -> bool:
        return bool(self._portions or self._safe or self._waits)

    def _count_from(self, began: float) -> None:
        """Where nothing was owed, nothing was to be said either."""
        if not self._owes:
            self._spoke = max(self._spoke, began)

    def keep_alive(self, seconds: float) -> bool:
        """Say how far the first open window has come, or only that we are at it, if nothing was said for so long.

        A peer that pipelines credits what follows the end of a window to its next one. So only the first open
        window is spoken of.
        """
        if not self._owes or time.monotonic() - self._spoke < seconds:
            return False
        self._say(self._safe)
        return True

    def _say(self, sequence: int) -> None:
        self._spoke = time.monotonic()
        self._acknowledge(sequence)

    @property
    def full(self) -> bool:
        """Whether no other window may come."""
        return self._windows >= WINDOWS

    async def room(self) -> None:
        """Wait until another window may come."""
        while self.full:
            await self._change()

    async def empty(self) -> None:
        """Wait until nothing is owed."""
        while self._portions:
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
