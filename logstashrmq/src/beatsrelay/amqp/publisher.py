"""The publisher: it stores messages, reconnects, and publishes each message until RabbitMQ confirms it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import re
import time
from collections import deque
from collections.abc import Sequence

from beatsrelay.amqp.backoff import Backoff
from beatsrelay.amqp.confirms import UnconfirmedMessages
from beatsrelay.amqp.dead_letters import Headers, create_dead_letters, describe_route, describe_size
from beatsrelay.amqp.errors import BrokerError
from beatsrelay.amqp.frames import BatchWriter
from beatsrelay.amqp.messages import Batch, PendingConfirmation, PublishedBatch
from beatsrelay.amqp.session import Session
from beatsrelay.metrics import Metrics
from beatsrelay.settings import Settings

logger = logging.getLogger(__name__)

# pika's buffer has no limit. Above this size, the publisher sends nothing until the broker has confirmed messages.
BUFFER_BYTES = 4 * 1024 * 1024
# The broker closes the channel with this reason. The relay learns the broker's limit only from it.
MESSAGE_TOO_LARGE = re.compile(r"message size \d+ (?:is )?larger than (?:configured )?max size (\d+)")


class Publisher:
    """A publisher that publishes each message until the broker confirms it.

    The publisher does not limit its memory: the caller must limit the messages in flight. Messages keep their order
    while the broker accepts them.

    Attributes
    ----------
    connected
        Set once, when the first session is open.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._writer = BatchWriter()
        self._queue: deque[Batch] = deque()
        self._refused: list[Batch] = []  # published again after a delay
        self._unconfirmed = UnconfirmedMessages()
        self._returned: set[int] = set()  # numbers of messages that were returned and are not confirmed yet
        self._session: Session | None = None
        self._blocked = False
        self._message_bytes_max: int | None = None  # the broker's limit; None: unknown
        self._connect_backoff = Backoff()
        self._refused_backoff = Backoff()
        self._next_number = 0
        self.connected = asyncio.Event()

    def reserve_numbers(self, count: int) -> Sequence[int]:
        """Return numbers for the ids of `count` new messages."""
        first, self._next_number = self._next_number, self._next_number + count
        return range(first, first + count)

    def publish(self, batch: Batch) -> None:
        """Publish a batch. `batch.pending` counts the confirmations."""
        self._enqueue(batch)
        self._publish_queue()

    def dead_letter(self, pending: PendingConfirmation, bodies: Sequence[bytes], reason: str, headers: Headers) -> None:
        """Publish events that cannot be delivered to the dead-letter route. Without a route, drop and count them.

        Parameters
        ----------
        pending
            Counts the confirmations. Dropped events count as confirmed.
        reason
            Short name: the label of a metric, and a header of the messages.
        headers
            Further AMQP headers of the messages.
        """
        if self._settings.dead_letter is None:
            self._metrics.dropped.labels(reason).inc(len(bodies))
            pending.confirm(len(bodies))
            return
        self._metrics.dead_lettered.labels(reason).inc(len(bodies))
        numbers = self.reserve_numbers(len(bodies))
        self.publish(create_dead_letters(pending, self._settings.dead_letter, bodies, numbers, reason, headers))

    async def run(self) -> None:
        """Keep a session with the broker open, until this task is cancelled."""
        hosts = itertools.cycle(random.sample(self._settings.amqp_hosts, len(self._settings.amqp_hosts)))
        try:
            for host in hosts:
                session = Session(self._settings, self._writer)
                try:
                    await session.open(host)
                except BrokerError as error:
                    self._metrics.connect_failures.inc()
                    logger.warning("cannot open a session with the broker", extra={"event.reason": str(error)})
                else:
                    await self._use_until_lost(session)
                await asyncio.sleep(self._connect_backoff.next_delay())
        finally:
            if self._session:
                await self._session.close()

    async def _use_until_lost(self, session: Session) -> None:
        self._start_session(session)
        reason = await session.lost
        fields = {"event.reason": reason, "unconfirmed": len(self._unconfirmed)}
        logger.warning("lost the session with the broker", extra=fields)
        self._session = None
        session.remove_callbacks()
        self._metrics.up.set(0)
        self._set_blocked(blocked=False)
        self._requeue_unconfirmed()
        if match := MESSAGE_TOO_LARGE.search(reason):
            self._limit_message_size(int(match[1]))
        await session.close()

    def _start_session(self, session: Session) -> None:
        session.on_confirm = self._handle_confirm
        session.on_return = self._handle_return
        session.on_blocked = self._set_blocked
        self._session = session
        self._metrics.connects.inc()
        self._metrics.up.set(1)
        self.connected.set()
        fields = {"exchange": self._settings.exchange, "messages_waiting": sum(map(len, self._queue))}
        logger.info("opened a session with the broker", extra=fields)
        self._publish_queue()

    def _publish_queue(self) -> None:
        session = self._session
        while session and self._queue and not self._blocked and session.buffered_bytes < BUFFER_BYTES:
            batch = self._queue.popleft()
            self._unconfirmed.add(batch)
            self._metrics.published.inc(len(batch))
            session.publish(batch)

    def _set_blocked(self, blocked: bool) -> None:
        if blocked != self._blocked:
            logger.warning(
                "the broker is low on memory or disk and blocks publishers"
                if blocked
                else "the broker accepts messages again"
            )
        self._blocked = blocked
        self._metrics.blocked.set(blocked)
        self._publish_queue()

    def _handle_return(self, number: int | None) -> None:
        if number is not None:
            self._returned.add(number)

    def _handle_confirm(self, tag: int, multiple: bool, accepted: bool) -> None:
        for published, indices in self._unconfirmed.remove(tag, multiple=multiple):
            if not accepted:
                self._metrics.nacked.inc(len(indices))
                self._publish_later(published.batch.select(indices), "nacked")
            elif self._returned:
                self._separate_returned(published, indices)
            else:
                self._confirm(published, len(indices))
        self._publish_queue()

    def _confirm(self, published: PublishedBatch, count: int) -> None:
        self._connect_backoff.reset()
        if not self._refused:
            self._refused_backoff.reset()
        self._metrics.confirmed.inc(count)
        self._metrics.confirm_seconds.observe(time.monotonic() - published.time)
        published.batch.pending.confirm(count)

    def _separate_returned(self, published: PublishedBatch, indices: Sequence[int]) -> None:
        """Separate the messages that a queue received from the returned ones: the broker confirms both."""
        batch = published.batch
        returned = [i for i in indices if batch.numbers[i] in self._returned]
        if returned:
            self._returned.difference_update(batch.numbers[i] for i in returned)
            self._metrics.returned.inc(len(returned))
            self._handle_unroutable(batch.select(returned))
        if len(indices) > len(returned):
            self._confirm(published, len(indices) - len(returned))

    def _handle_unroutable(self, batch: Batch) -> None:
        if self._settings.unroutable == "dead-letter" and batch.route != self._settings.dead_letter:
            self.dead_letter(batch.pending, batch.bodies, "unroutable", describe_route(batch.route))
        else:
            self._publish_later(batch, "returned")

    def _publish_later(self, batch: Batch, reason: str) -> None:
        """Publish a batch again after a delay, together with all batches that the broker refuses until then."""
        self._metrics.published_again.labels(reason).inc(len(batch))
        if not self._refused:
            delay = self._refused_backoff.next_delay()
            fields = {"event.reason": reason, "again_in_seconds": delay}
            logger.warning("the broker refused or returned messages", extra=fields)
            asyncio.get_running_loop().call_later(delay, self._publish_refused)
        self._refused.append(batch)

    def _publish_refused(self) -> None:
        refused, self._refused = self._refused, []
        self._queue.extend(refused)
        self._publish_queue()

    def _requeue_unconfirmed(self) -> None:
        """Put the unconfirmed messages of a lost session at the start of the queue."""
        batches = [published.batch.select(indices) for published, indices in self._unconfirmed.list_all()]
        self._unconfirmed = UnconfirmedMessages()
        self._returned.clear()
        self._metrics.published_again.labels("lost").inc(sum(map(len, batches)))
        self._queue.extendleft(reversed(batches))

    def _limit_message_size(self, message_bytes_max: int) -> None:
        """Apply a limit that the broker reported to all queued messages."""
        self._message_bytes_max = message_bytes_max
        queued, self._queue = self._queue, deque()
        for batch in queued:
            self._enqueue(batch)

    def _enqueue(self, batch: Batch) -> None:
        """Add a batch to the queue, and dead-letter the messages above the broker's limit.

        The broker closes the session when it receives a message above its limit.
        """
        limit = self._message_bytes_max
        if limit is None or all(len(body) <= limit for body in batch.bodies):
            self._queue.append(batch)
            return
        if deliverable := [i for i, body in enumerate(batch.bodies) if len(body) <= limit]:
            self._queue.append(batch.select(deliverable))
        for body in batch.bodies:
            if len(body) > limit:
                self.dead_letter(batch.pending, [body[:limit]], "above_broker_limit", describe_size(len(body)))
