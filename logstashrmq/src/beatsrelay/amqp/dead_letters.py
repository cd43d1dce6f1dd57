"""Messages for the dead-letter route: events that cannot be delivered, with the reason in their AMQP headers."""

from __future__ import annotations

from collections.abc import Sequence

from beatsrelay.amqp.errors import Reply
from beatsrelay.amqp.messages import Batch, PendingConfirmation
from beatsrelay.routing import Route

Headers = dict[str, str | int]


def create_dead_letters(
    pending: PendingConfirmation,
    route: Route,
    bodies: Sequence[bytes],
    numbers: Sequence[int],
    reason: str,
    details: Headers,
) -> Batch:
    """Return a batch for the dead-letter route.

    Parameters
    ----------
    pending
        Counts the confirmations.
    numbers
        Reserved numbers of the messages, one for each body.
    reason
        Short name of the reason, in the header `x-relay-reason`.
    details
        Further headers.
    """
    return Batch(pending, route, bodies, numbers, {"x-relay-reason": reason, **details})


def describe_route(route: Route) -> Headers:
    """Return the headers for a message that no queue received: the route that it was published to."""
    return {"x-exchange": route.exchange, "x-key": route.key}


def describe_refusal(route: Route, reply: Reply) -> Headers:
    """Return the headers for a message that the broker refused: its route, and the broker's reply."""
    return {**describe_route(route), "x-reply-code": reply.code, "x-reply-text": reply.text}


def describe_size(size: int) -> Headers:
    """Return the headers for a truncated event: its original size in bytes."""
    return {"x-size": size}
