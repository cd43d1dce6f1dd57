"""The acknowledgements of one connection: parts of windows are acknowledged in the order of their arrival."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# Maximum number of unacknowledged windows of a connection. filebeat sends two windows at a time (`pipelining: 2`).
WINDOWS_MAX = 2


@dataclass(eq=False)
class WindowPart:
    """Consecutive events of a window.

    Attributes
    ----------
    sequence
        Sequence number that acknowledges this part and all parts before it.
    last
        Whether this part is the last one of its window.
    started
        When the relay started to work on this part, in seconds of the tracker's clock.
    confirmed
        Whether the broker has confirmed all events of this part.
    """

    sequence: int
    last: bool
    started: float
    confirmed: bool = False


class AckTracker:
    """The acknowledgements of one connection. A window is acknowledged when all events up to its end are confirmed.

    Parameters
    ----------
    send_ack
        Sends a sequence number to the peer.
    report_window
        Called with the seconds from the first part of a window to its acknowledgement.
    clock
        Returns the current time in seconds.

    Attributes
    ----------
    wait_started
        When the connection last started to wait for capacity, in seconds of the clock.
    """

    def __init__(
        self,
        send_ack: Callable[[int], None],
        report_window: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send_ack = send_ack
        self._report_window = report_window
        self._clock = clock
        self._parts: deque[WindowPart] = deque()
        self._windows = 0  # number of windows that are completely received but not acknowledged
        self._window_started: float | None = None
        self._confirmed_sequence = 0  # last confirmed sequence number in the first unconfirmed window; 0 if none
        self._last_sent = self.wait_started = clock()
        self._waiting = False
        self._changed = asyncio.Event()

    @contextmanager
    def waiting_for_capacity(self) -> Iterator[None]:
        """Enable keep-alives in this block, while the data of the peer waits for capacity (`InFlightLimit`)."""
        self.wait_started = self._clock()
        self._start_silence(self.wait_started)
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False

    def add(self, part: WindowPart) -> None:
        """Add a received part. The part is acknowledged after all parts that were added before."""
        self._start_silence(part.started)
        self._parts.append(part)
        self._windows += part.last

    def confirm(self, part: WindowPart) -> None:
        """Mark a part as confirmed, and acknowledge each window whose parts are now all confirmed."""
        part.confirmed = True
        while self._parts and self._parts[0].confirmed:
            first = self._parts.popleft()
            if self._window_started is None:
                self._window_started = first.started
            self._confirmed_sequence = first.sequence
            if first.last:
                self._report_window(self._clock() - self._window_started)
                self._window_started, self._confirmed_sequence = None, 0
                self._windows -= 1
                self._send(first.sequence)
        self._changed.set()

    @property
    def _ack_expected(self) -> bool:
        return bool(self._parts or self._confirmed_sequence or self._waiting)

    def _start_silence(self, now: float) -> None:
        """Start to measure the time until the next keep-alive, unless the peer already expects an acknowledgement."""
        if not self._ack_expected:
            self._last_sent = max(self._last_sent, now)

    def send_keepalive(self, silence_seconds: float) -> bool:
        """Send a keep-alive: acknowledge the confirmed events of the oldest window. Without confirmed events, send 0.

        Only the first window can be acknowledged in part. The peer applies each sequence number to its oldest window
        that is not completely acknowledged.

        Parameters
        ----------
        silence_seconds
            Send only if the relay has sent nothing to the peer for this many seconds.

        Returns
        -------
        bool
            Whether something was sent.
        """
        if not self._ack_expected or self._clock() - self._last_sent < silence_seconds:
            return False
        self._send(self._confirmed_sequence)
        return True

    def _send(self, sequence: int) -> None:
        self._last_sent = self._clock()
        self._send_ack(sequence)

    @property
    def is_full(self) -> bool:
        """Whether the connection has reached `WINDOWS_MAX` and must not read another window."""
        return self._windows >= WINDOWS_MAX

    async def wait_until_not_full(self) -> None:
        """Wait until fewer than `WINDOWS_MAX` windows are unacknowledged. Then the connection may read another one."""
        while self.is_full:
            await self._wait_for_change()

    async def wait_until_empty(self) -> None:
        """Wait until all received parts are confirmed and acknowledged."""
        while self._parts:
            await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
