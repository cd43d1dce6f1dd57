"""What is published: messages in batches that share a route, and what is owed for them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from beatsrelay.routing import Route

# Tells the messages of this process from those of all others.
ORIGIN = secrets.token_hex(4)
ID_DIGITS = 12
ID_SIZE = len(ORIGIN) + 1 + ID_DIGITS


def message_id(number: int) -> str:
    """Give the id of a message: the same each time that it is published again."""
    return f"{ORIGIN}-{number:0{ID_DIGITS}x}"


def number_of(text: str | None) -> int | None:
    """Give the number of one of our message ids."""
    origin, _, digits = (text or "").partition("-")
    return int(digits, 16) if origin == ORIGIN and digits else None


@dataclass(eq=False)
class Debt:
    """So many messages of one origin that are not safe yet.

    Attributes
    ----------
    left
        How many.
    size
        Their bytes, for who bounds them.
    paid
        Called once, when all are safe.
    """

    left: int
    size: int
    paid: Callable[[Debt], None]

    def pay(self, count: int) -> None:
        """Take so many off."""
        self.left -= count
        if self.left == 0:
            self.paid(self)


@dataclass(eq=False, slots=True)
class Batch:
    """Messages to one route, published together.

    Attributes
    ----------
    numbers
        What their message ids are made of.
    headers
        AMQP headers of each message.
    first
        The delivery tag of the first one, once published.
    """

    debt: Debt
    route: Route
    bodies: Sequence[bytes]
    numbers: Sequence[int]
    headers: dict[str, str | int] | None = None
    first: int = 0
    published: float = field(default=0.0)

    def __len__(self) -> int:
        return len(self.bodies)

    def pick(self, indices: Sequence[int]) -> Batch:
        """Give a batch of some of these messages, to publish again."""
        return Batch(
            self.debt, self.route, [self.bodies[i] for i in indices], [self.numbers[i] for i in indices], self.headers
        )
