"""Dead letters: events that cannot be delivered.

The relay publishes them to a separate route, with the reason in AMQP headers.
"""

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
    """Return a batch of dead letters, to publish to the dead-letter route.

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
    """Return the dead-letter headers of a message that no queue received. The headers name the route of the message."""
    return {"x-exchange": route.exchange, "x-key": route.key}


def describe_refusal(route: Route, reply: Reply) -> Headers:
    """Return the dead-letter headers of a message that the broker refused: the message's route and the reply."""
    return {**describe_route(route), "x-reply-code": reply.code, "x-reply-text": reply.text}


def describe_size(size: int) -> Headers:
    """Return the dead-letter header of a truncated event: the original size of the event in bytes."""
    return {"x-size": size}
