"""The broker's limit on the size of a message (`max_message_size` of RabbitMQ)."""

from __future__ import annotations

import re

from beatsrelay.amqp.errors import Reply
from beatsrelay.amqp.messages import Batch

PRECONDITION_FAILED = 406
# When a message is too large, the broker closes the channel with this reply text, which names the limit. The pattern
# must match the whole text, because other replies can contain a routing key, and so any text of an event.
MESSAGE_TOO_LARGE = re.compile(
    r"PRECONDITION_FAILED - message size \d+ (?:is )?larger than (?:configured )?max size (\d+)"
)


class SizeLimit:
    """The broker's limit on the size of a message.

    It is unknown until the broker has refused a message that is too large.

    Attributes
    ----------
    bytes_max
        Bytes of the largest message that the broker accepts. None means that the limit is unknown.
    """

    def __init__(self) -> None:
        self.bytes_max: int | None = None

    def learn(self, reply: Reply, batches: list[Batch]) -> bool:
        """Store the limit that the broker's reply names.

        Parameters
        ----------
        batches
            The unconfirmed messages, one of which the broker has refused.

        Returns
        -------
        bool
            Whether the reply names a limit that one of the messages exceeds.
        """
        match = MESSAGE_TOO_LARGE.fullmatch(reply.text)
        if not match or reply.code != PRECONDITION_FAILED:
            return False
        self.bytes_max = int(match[1])
        return any(self.split(batch)[1] for batch in batches)

    def split(self, batch: Batch) -> tuple[Batch | None, list[bytes]]:
        """Return a batch of the messages up to the limit, and the bodies of the larger messages.

        The batch is None if all messages are too large.
        """
        limit = self.bytes_max
        if limit is None or all(len(body) <= limit for body in batch.bodies):
            return batch, []
        deliverable = [i for i, body in enumerate(batch.bodies) if len(body) <= limit]
        large = [body for body in batch.bodies if len(body) > limit]
        return batch.select(deliverable) if deliverable else None, large
