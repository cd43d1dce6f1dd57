"""The limits of a kernel's output.

The limits decide which messages a lab sends to a page, and which messages a lab keeps while no page is connected.
Without these limits, a loop that prints would use up the lab's memory (docs/dev/limits.md has the figures). The classes
are pure: they send no messages and do not read the clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from operator import itemgetter

TEXT = "stream"
# Types of messages that the lab always sends. A cell causes only a few of these messages. Without them, the page would
# still show a cell as running after the cell has ended or failed.
ESSENTIAL = frozenset({"error", "execute_input", "execute_result", "status"})
# Maximum number of bytes that wait for a slow connection. Above UNSENT_TEXT_MAX, the lab leaves out text. Above
# UNSENT_MAX, the lab leaves out all output except ESSENTIAL messages.
UNSENT_TEXT_MAX = 16_000_000
UNSENT_MAX = 64_000_000
# Maximum number of bytes that a lab keeps until a page connects again: for text, and for other output. KEPT_TEXT_MAX
# must be less than the burst of OutputLimiter, which would otherwise leave out some of the kept text.
KEPT_TEXT_MAX = 8_000_000
KEPT_MAX = 48_000_000
# Maximum size in bytes of one kept text message. If a message is larger, the lab keeps only the end of its text.
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
    """The reason why the lab leaves out output. The value is the note that the user sees."""

    BURST = BURST_NOTE
    COUNT = COUNT_NOTE
    CONNECTION = CONNECTION_NOTE


@dataclass
class Allowance:
    """A token bucket that, after it was empty, grants no tokens until it is half full again.

    With this pause, a page shows long parts of the output with one note between two parts. Without the pause, a page
    would show single lines with gaps between them.

    Attributes
    ----------
    rate
        Number of tokens that are added per second.
    burst
        Number of tokens in the full bucket.
    level
        Number of tokens in the bucket at the time `updated`.
    closed
        Whether the bucket grants no tokens until it is half full again.
    updated
        Time of the last call of `use`, in seconds.
    """

    rate: float
    burst: float
    level: float = field(init=False)
    closed: bool = field(init=False, default=False)
    updated: float = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.level = self.burst

    def fill(self) -> None:
        """Fill the bucket with tokens."""
        self.level, self.closed = self.burst, False

    def use(self, amount: int, now: float) -> int:
        """Remove up to `amount` tokens from the bucket, and return the number of removed tokens.

        Parameters
        ----------
        amount
            The number of tokens that the caller needs.
        now
            Time of a monotonic clock, in seconds.
        """
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
    """A limit for the number of bytes that wait for a connection.

    When the bytes exceed the limit, the backlog accepts no more bytes until less than half of the limit is waiting.
    """

    limit: int
    closed: bool = field(init=False, default=False)

    def accepts(self, size: int, unsent: int) -> bool:
        """Return whether `size` more bytes may wait for the connection, where `unsent` bytes already wait."""
        self.closed = unsent + size > self.limit if not self.closed else unsent > self.limit / 2
        return not self.closed


class OutputLimiter:
    """The decision which output of one kernel is sent to one page.

    Parameters
    ----------
    text_rate
        Bytes of text per second.
    message_rate
        Messages per second.
    window
        Seconds. At once, the page can get as much output as both rates allow in this time.
    """

    def __init__(self, text_rate: float, message_rate: float, window: float) -> None:
        self._text = Allowance(text_rate, text_rate * window)
        self._count = Allowance(message_rate, message_rate * window)
        self._text_backlog = Backlog(UNSENT_TEXT_MAX)
        self._backlog = Backlog(UNSENT_MAX)
        self._stopped = False

    def check(self, kind: str, size: int, unsent: int, now: float) -> tuple[int, str]:
        """Return how many bytes of a message to send, and a note for the user.

        The note is empty if the whole message is sent, or if the user already has a note about the message before it.

        Parameters
        ----------
        kind
            The `msg_type` of the message, which is from the kernel's channel for output. The result can be a part of
            `size` only for text. For other messages, the result is `size` or 0.
        size
            Number of bytes of the message.
        unsent
            Number of bytes that already wait for the connection.
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
        """Reset the limits for text and for the number of messages, because a new cell has started."""
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
    """The messages that a lab keeps while no page is connected to a kernel: essential messages, and recent output."""

    def __init__(self) -> None:
        self._essential: list[tuple[int, str, list[bytes]]] = []
        self._text: deque[tuple[int, str, list[bytes]]] = deque()
        self._other: deque[tuple[int, str, list[bytes]]] = deque()
        self._text_size = self._other_size = 0
        self._count = 0
        self.first_left_out: list[bytes] | None = None
        """The oldest message that was left out or shortened."""

    def add(self, kind: str | None, channel: str, parts: list[bytes]) -> None:
        """Add a message. If the kept output is then larger than its limit, remove the oldest output.

        Parameters
        ----------
        kind
            The `msg_type` of a message from the kernel's channel for output; None for messages from other channels.
        channel
            The name of the channel from which the lab received the message.
        parts
            The message as the lab received it from the kernel.
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
    """Return the number of bytes of a message, which consists of several parts."""
    return sum(len(part) for part in parts)
