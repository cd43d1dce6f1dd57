"""The limits of a kernel's output: which messages a lab sends to a page, and which it keeps while no page is connected.

The classes are pure: they neither send messages nor read the clock. Without these limits, a loop that prints would
exhaust the lab's memory: docs/dev/limits.md has the figures.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from operator import itemgetter

TEXT = "stream"
# Messages that are always sent. A cell sends few of them. If one were left out, the page would show a cell as running
# after it has ended or failed.
ESSENTIAL = frozenset({"error", "execute_input", "execute_result", "status"})
# Maximum output in bytes that waits for a slow connection: of text, and of all output
UNSENT_TEXT_MAX = 16_000_000
UNSENT_MAX = 64_000_000
# Maximum output in bytes that a lab keeps for a page that connects again: of text, and of other output. The limiter's
# burst must be larger than the kept text.
KEPT_TEXT_MAX = 8_000_000
KEPT_MAX = 48_000_000
# Maximum size in bytes of a kept message with text. The lab keeps only the end of a larger message.
KEPT_MESSAGE_MAX = KEPT_TEXT_MAX // 2
BURST_NOTE = (
    "[Output left out: JupyterLab shows {burst:.0f} MB of text at once, then {rate:.0f} MB per second. More would "
    "block the page. The cell continues. Write large output to a file.]"
)
COUNT_NOTE = (
    "[Output left out: JupyterLab shows {burst:.0f} outputs at once, then {rate:.0f} per second. More would block the "
    "page. The cell continues.]"
)
CONNECTION_NOTE = (
    "[Output left out: your network connection is slower than this output. The cell continues. Write large output to a "
    "file.]"
)
KEPT_NOTE = "[Output left out: while your page was not connected, the lab kept only the last part of this output.]"


class Reason(Enum):
    """Why output is left out. The value is the text for the user."""

    BURST = BURST_NOTE
    COUNT = COUNT_NOTE
    CONNECTION = CONNECTION_NOTE


@dataclass
class Allowance:
    """A token bucket. Once it is empty, it grants nothing until it is half full again.

    So a page shows long pieces of the output with a note between them, instead of every tenth line.

    Attributes
    ----------
    rate
        Tokens that are added per second.
    burst
        Tokens in the full bucket.
    """

    rate: float
    burst: float
    level: float = field(init=False)
    closed: bool = field(init=False, default=False)
    updated: float = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.level = self.burst

    def fill(self) -> None:
        """Refill the allowance."""
        self.level, self.closed = self.burst, False

    def use(self, amount: int, now: float) -> int:
        """Return how much of the amount is available, and subtract it."""
        self.level = min(self.burst, self.level + self.rate * (now - self.updated))
        self.updated = now
        if self.closed and self.level < self.burst / 2:
            return 0
        self.closed = amount > self.level
        granted = min(amount, int(self.level))
        self.level -= granted
        return granted


@dataclass
class Backlog:
    """A limit of the bytes that wait for a connection. Once it is exceeded, it is closed until half of it is free."""

    limit: int
    closed: bool = field(init=False, default=False)

    def accepts(self, size: int, unsent: int) -> bool:
        """Return whether `size` more bytes may wait."""
        self.closed = unsent + size > self.limit if not self.closed else unsent > self.limit / 2
        return not self.closed


class OutputLimiter:
    """The limits of the output of one kernel for one page.

    Parameters
    ----------
    text_rate, message_rate
        Bytes of text, and messages, per second.
    window
        Seconds. A burst can be as large as the rates allow in this time.
    """

    def __init__(self, text_rate: float, message_rate: float, window: float) -> None:
        self._text = Allowance(text_rate, text_rate * window)
        self._count = Allowance(message_rate, message_rate * window)
        self._text_backlog = Backlog(UNSENT_TEXT_MAX)
        self._backlog = Backlog(UNSENT_MAX)
        self._stopped = False

    def check(self, kind: str, size: int, unsent: int, now: float) -> tuple[int, str]:
        """Return how many bytes of a message to send, and a note for the user if it is the first that is left out.

        Parameters
        ----------
        kind
            The `msg_type` of a message from the kernel's channel for output. Only text can be shortened.
        size
            Bytes of the message.
        unsent
            Bytes that already wait for the connection.
        now
            Time of a monotonic clock, in seconds.
        """
        if kind in ESSENTIAL:
            return size, ""
        granted, reason = self._find_reason(kind, size, unsent, now)
        note = self._format_note(reason) if reason and not self._stopped else ""
        self._stopped = reason is not None
        return granted, note

    def start_over(self) -> None:
        """Refill the allowances for the next cell."""
        self._text.fill()
        self._count.fill()
        self._stopped = False

    def _find_reason(self, kind: str, size: int, unsent: int, now: float) -> tuple[int, Reason | None]:
        if not self._count.use(1, now):
            return 0, Reason.COUNT
        granted = self._text.use(size, now) if kind == TEXT else size
        backlogs = [self._backlog, self._text_backlog] if kind == TEXT else [self._backlog]
        if not all(backlog.accepts(granted, unsent) for backlog in backlogs):
            return 0, Reason.CONNECTION
        return granted, Reason.BURST if granted < size else None

    def _format_note(self, reason: Reason) -> str:
        allowance, unit = (self._text, 1e6) if reason is Reason.BURST else (self._count, 1)
        return reason.value.format(burst=allowance.burst / unit, rate=allowance.rate / unit)


class KeptOutput:
    """The messages of a kernel while no page is connected: all essential ones, and the latest output."""

    def __init__(self) -> None:
        self._essential: list[tuple[int, str, list[bytes]]] = []
        self._text: deque[tuple[int, str, list[bytes]]] = deque()
        self._other: deque[tuple[int, str, list[bytes]]] = deque()
        self._text_size = self._other_size = 0
        self._count = 0
        self.first_left_out: list[bytes] | None = None
        """The oldest message that was left out."""

    def add(self, kind: str | None, channel: str, parts: list[bytes]) -> None:
        """Add a message. Old output is left out if the output is larger than the limit.

        Parameters
        ----------
        kind
            The `msg_type` of output; None for a message of another channel.
        channel
            The kernel's channel.
        parts
            The message as it was received.
        """
        self._count += 1
        entry = (self._count, channel, parts)
        if kind is None or kind in ESSENTIAL:
            self._essential.append(entry)
        elif kind == TEXT:
            self._text.append(entry)
            self._text_size = self._shrink(self._text, self._text_size + size_of(parts), KEPT_TEXT_MAX)
        else:
            self._other.append(entry)
            self._other_size = self._shrink(self._other, self._other_size + size_of(parts), KEPT_MAX)

    def _shrink(self, entries: deque[tuple[int, str, list[bytes]]], size: int, limit: int) -> int:
        while size > limit:
            _, _, parts = entries.popleft()
            self.first_left_out = self.first_left_out or parts
            size -= size_of(parts)
        return size

    def messages(self) -> list[tuple[str, list[bytes]]]:
        """Return the channel and the parts of each message, in the order in which they were received."""
        entries = sorted([*self._essential, *self._text, *self._other], key=itemgetter(0))
        return [(channel, parts) for _, channel, parts in entries]


def size_of(parts: list[bytes]) -> int:
    """Return the bytes of a message."""
    return sum(len(part) for part in parts)
