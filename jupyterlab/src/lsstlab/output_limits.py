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
# Messages of widgets. Without one of them, a widget on the page differs from the widget in the kernel.
WIDGET = frozenset({"comm_open", "comm_msg", "comm_close"})
# Maximum output in bytes that waits for a slow connection: of text, and of all output
UNSENT_TEXT_MAX = 16_000_000
UNSENT_MAX = 64_000_000
# If more bytes than this wait, the lab closes the connection, because it must not leave out messages of widgets.
UNSENT_WIDGETS_MAX = 2 * UNSENT_MAX
# Maximum output in bytes that a lab keeps for a page that connects again: of text, of widgets, and of other output. The
# kept text must fit into the limiter's burst, and all kept output into `UNSENT_MAX`. A page that connects again reads
# the states of all widgets from the kernel.
KEPT_TEXT_MAX = 8_000_000
KEPT_WIDGETS_MAX = 4_000_000
KEPT_MAX = 48_000_000
# Maximum number of kept messages with text, and of other kept messages. The sum of both numbers must be at most the
# number of messages that the limiter allows at once.
KEPT_COUNT_MAX = 4500
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


@dataclass
class Unsent:
    """The bytes that wait for a connection."""

    total: int = 0
    text: int = 0

    def add(self, size: int, *, is_text: bool) -> None:
        """Add the size of a message that now waits to be sent. For a sent message, the size is negative."""
        self.total += size
        self.text += size if is_text else 0


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

    def check(self, kind: str, size: int, unsent: Unsent, now: float) -> tuple[int, str]:
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
        if kind in ESSENTIAL or kind in WIDGET:
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

    def _find_reason(self, kind: str, size: int, unsent: Unsent, now: float) -> tuple[int, Reason | None]:
        if not self._count.use(1, now):
            return 0, Reason.COUNT
        granted = self._text.use(size, now) if kind == TEXT else size
        accepted = self._backlog.accepts(granted, unsent.total)
        if kind == TEXT:
            accepted &= self._text_backlog.accepts(granted, unsent.text)
        if not accepted:
            return 0, Reason.CONNECTION
        return granted, Reason.BURST if granted < size else None

    def _format_note(self, reason: Reason) -> str:
        allowance, unit = (self._text, 1e6) if reason is Reason.BURST else (self._count, 1)
        return reason.value.format(burst=allowance.burst / unit, rate=allowance.rate / unit)


Message = tuple[int, str, list[bytes]]
"""The position of a message among all, its channel, and its parts as they were received."""


@dataclass
class LatestMessages:
    """The latest messages of a kind. Their number and the sum of their bytes are limited."""

    size_max: int
    count_max: int
    messages: deque[Message] = field(init=False, default_factory=deque)
    size: int = field(init=False, default=0)

    def add(self, message: Message) -> list[bytes] | None:
        """Add a message, and remove old messages above the limits. Return the parts of the oldest removed message."""
        self.messages.append(message)
        self.size += size_of(message[2])
        oldest = None
        while self.size > self.size_max or len(self.messages) > self.count_max:
            _, _, parts = self.messages.popleft()
            self.size -= size_of(parts)
            oldest = oldest or parts
        return oldest


class KeptOutput:
    """The messages that a lab keeps while no page is connected to a kernel: essential messages, and recent output.

    Attributes
    ----------
    first_left_out
        The oldest message that was left out. Messages of widgets do not count.
    """

    def __init__(self) -> None:
        self._essential: list[Message] = []
        self._text = LatestMessages(KEPT_TEXT_MAX, KEPT_COUNT_MAX)
        self._widgets = LatestMessages(KEPT_WIDGETS_MAX, KEPT_COUNT_MAX)
        self._other = LatestMessages(KEPT_MAX, KEPT_COUNT_MAX)
        self._count = 0
        self.first_left_out: list[bytes] | None = None

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
        message = (self._count, channel, parts)
        if kind is None or kind in ESSENTIAL:
            self._essential.append(message)
        elif kind in WIDGET:
            self._widgets.add(message)
        else:
            left_out = (self._text if kind == TEXT else self._other).add(message)
            self.first_left_out = self.first_left_out or left_out

    def messages(self) -> list[tuple[str, list[bytes]]]:
        """Return the channel and the parts of each message, in the order in which they were received."""
        kept = [*self._essential, *self._text.messages, *self._widgets.messages, *self._other.messages]
        return [(channel, parts) for _, channel, parts in sorted(kept, key=itemgetter(0))]


def size_of(parts: list[bytes]) -> int:
    """Return the number of bytes of a message, which consists of several parts."""
    return sum(len(part) for part in parts)
