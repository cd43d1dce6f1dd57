"""Messages to publish: batches of messages, message ids, and counters of pending confirmations."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from beatsrelay.routing import Route

# A random prefix of message ids, which distinguishes the messages of this process from the messages of all others.
PROCESS_ID = secrets.token_hex(4)
NUMBER_DIGITS = 12
MESSAGE_ID_SIZE = len(PROCESS_ID) + 1 + NUMBER_DIGITS


def format_message_id(number: int) -> str:
    """Return the id of a message from its number. The id stays the same when the message is published again."""
    return f"{PROCESS_ID}-{number:0{NUMBER_DIGITS}x}"


def parse_message_id(message_id: str | None) -> int | None:
    """Return the number in a message id, or None if another process created the id."""
    process_id, _, digits = (message_id or "").partition("-")
    return int(digits, 16) if process_id == PROCESS_ID and digits else None


@dataclass(eq=False)
class PendingConfirmation:
    """The unconfirmed messages of one chunk of events.

    Attributes
    ----------
    remaining
        Number of messages that are not confirmed.
    on_complete
        Function that is called once, when all messages are confirmed.
    """

    remaining: int
    on_complete: Callable[[], None]

    def confirm(self, count: int) -> None:
        """Count `count` messages as confirmed. Call `on_complete` if no message remains."""
        self.remaining -= count
        if self.remaining == 0:
            self.on_complete()


@dataclass(frozen=True, eq=False, slots=True)
class Batch:
    """Messages with the same route, which are published together.

    Attributes
    ----------
    pending
        Counts the confirmations of these messages.
    bodies, numbers
        Body of each message, and the number in the message id of each message.
    headers
        AMQP headers of every message. Only dead letters have headers.
    """

    pending: PendingConfirmation
    route: Route
    bodies: Sequence[bytes]
    numbers: Sequence[int]
    headers: dict[str, str | int] | None = None

    def __len__(self) -> int:
        return len(self.bodies)

    @property
    def is_dead_letter(self) -> bool:
        """Whether the messages of this batch are dead letters."""
        return self.headers is not None

    def select(self, indices: Sequence[int]) -> Batch:
        """Return a new batch with the messages at these indices."""
        bodies = [self.bodies[i] for i in indices]
        return Batch(self.pending, self.route, bodies, [self.numbers[i] for i in indices], self.headers)


@dataclass(frozen=True, eq=False, slots=True)
class PublishedBatch:
    """A batch that was published on a channel.

    Attributes
    ----------
    first_tag
        Delivery tag of the first message. The other messages have the tags that follow.
    time
        When the batch was published, in seconds of `time.monotonic`.
    """

    batch: Batch
    first_tag: int
    time: float

    @property
    def end_tag(self) -> int:
        """The delivery tag after the last message."""
        return self.first_tag + len(self.batch)
