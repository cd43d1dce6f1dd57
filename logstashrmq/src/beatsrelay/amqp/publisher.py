"""The publisher: it queues messages, reconnects to RabbitMQ, and publishes each message until RabbitMQ confirms it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import time
from collections import deque
from collections.abc import Sequence

from beatsrelay.amqp.backoff import Backoff
from beatsrelay.amqp.confirms import UnconfirmedMessages
from beatsrelay.amqp.dead_letters import Headers, create_dead_letters, describe_refusal, describe_route, describe_size
from beatsrelay.amqp.delayed import DelayedBatches
from beatsrelay.amqp.errors import BrokerError, Loss, Reply
from beatsrelay.amqp.frames import BatchWriter
from beatsrelay.amqp.isolation import Isolation
from beatsrelay.amqp.messages import Batch, PendingConfirmation, PublishedBatch
from beatsrelay.amqp.refusals import Refusal, Refusals, Scope, describe_message, log_refusal
from beatsrelay.amqp.session import Session
from beatsrelay.amqp.size_limit import SizeLimit
from beatsrelay.metrics import Metrics
from beatsrelay.settings import Settings

logger = logging.getLogger(__name__)

# pika's buffer has no limit. While the buffer is larger than this, the publisher waits for confirms and sends nothing.
BUFFER_BYTES = 4 * 1024 * 1024


class Publisher:
    """A publisher that publishes each message until the broker confirms it.

    The publisher does not limit its memory: the caller must limit the messages in flight. Messages keep their order
    while the broker accepts all messages, and while the publisher isolates a refused message.

    Attributes
    ----------
    connected
        Event that is set when the first session is open, and then stays set.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._writer = BatchWriter()
        self._queue: deque[Batch] = deque()
        self._returned_batches = DelayedBatches(self._publish_again)  # returned or nacked messages
        self._kept_batches = DelayedBatches(self._test_kept)  # messages whose refusal is not final
        self._refusals = Refusals(settings)
        self._isolation = Isolation(self._remove_refused)
        self._last_accepted = 0.0  # when the broker last confirmed an event, in seconds of time.monotonic
        self._unconfirmed = UnconfirmedMessages()
        self._returned: set[int] = set()  # numbers of returned messages that the broker has not confirmed yet
        self._session: Session | None = None
        self._blocked = False
        self._size_limit = SizeLimit()
        self._connect_backoff = Backoff()
        self._next_number = 0
        self.connected = asyncio.Event()

    def reserve_numbers(self, count: int) -> Sequence[int]:
        """Return numbers for the ids of `count` new messages."""
        first, self._next_number = self._next_number, self._next_number + count
        return range(first, first + count)

    def publish(self, batch: Batch) -> None:
        """Publish a batch until the broker confirms each message. `batch.pending` counts the confirmations."""
        self._enqueue(batch)
        self._publish_queue()

    def dead_letter(self, pending: PendingConfirmation, bodies: Sequence[bytes], reason: str, headers: Headers) -> None:
        """Publish undeliverable events to the dead-letter route, or drop the events if the settings have no such route.

        Parameters
        ----------
        pending
            Counts the confirmations. A dropped event counts as confirmed.
        reason
            Short name: the label of a metric, and a header of the messages.
        headers
            Further AMQP headers of the messages.
        """
        self._enqueue_dead_letters(pending, bodies, reason, headers)
        self._publish_queue()

    def _enqueue_dead_letters(
        self, pending: PendingConfirmation, bodies: Sequence[bytes], reason: str, headers: Headers
    ) -> None:
        if self._settings.dead_letter is None:
            self._drop(pending, bodies, reason)
            return
        self._metrics.dead_lettered.labels(reason).inc(len(bodies))
        numbers = self.reserve_numbers(len(bodies))
        self._enqueue(create_dead_letters(pending, self._settings.dead_letter, bodies, numbers, reason, headers))

    def _drop(self, pending: PendingConfirmation, bodies: Sequence[bytes], reason: str) -> None:
        self._metrics.dropped.labels(reason).inc(len(bodies))
        pending.confirm(len(bodies))

    async def run(self) -> None:
        """Keep a session with the broker open: reconnect after each loss, until this task is cancelled."""
        hosts = itertools.cycle(random.sample(self._settings.amqp_hosts, len(self._settings.amqp_hosts)))
        for host in hosts:
            session = Session(self._settings, self._writer)
            try:
                await session.open(host, check_dead_letter=not self.connected.is_set())
            except BrokerError as error:
                self._metrics.connect_failures.inc()
                logger.warning("cannot open a session with the broker", extra={"event.reason": str(error)})
            else:
                await self._use_until_lost(session)
            await asyncio.sleep(self._connect_backoff.next_delay())

    async def _use_until_lost(self, session: Session) -> None:
        try:
            fields = {"exchange": self._settings.exchange, "messages_waiting": self._count_waiting()}
            logger.info("opened a session with the broker", extra=fields)
            self._start_session(session)
            while self._handle_loss(await session.lost):
                await session.reopen_channel()
                self._start_session(session)
        except BrokerError as error:
            logger.warning("cannot open another channel", extra={"event.reason": str(error)})
        finally:
            self._session = None
            session.remove_callbacks()
            self._metrics.up.set(0)
            self._set_blocked(blocked=False)
            await session.close()

    def _count_waiting(self) -> int:
        return sum(map(len, self._queue)) + len(self._isolation)

    def _start_session(self, session: Session) -> None:
        session.on_confirm = self._handle_confirm
        session.on_return = self._handle_return
        session.on_blocked = self._set_blocked
        self._session = session
        self._metrics.connects.inc()
        self._metrics.up.set(1)
        self.connected.set()
        self._publish_queue()

    def _publish_queue(self) -> None:
        session = self._session
        if not session or self._blocked:
            return
        if self._isolation.active:
            self._publish_suspects(session)
        while self._queue and not self._isolation.active and session.buffered_bytes < BUFFER_BYTES:
            self._send(session, self._queue.popleft())
        self._metrics.buffered.set(session.buffered_bytes)

    def _send(self, session: Session, batch: Batch) -> None:
        self._unconfirmed.add(batch)
        self._metrics.published.inc(len(batch))
        session.publish(batch)

    def _publish_suspects(self, session: Session) -> None:
        """Publish the next unit of the isolation when the broker has answered all messages. Other messages wait."""
        if self._unconfirmed:
            return
        for batch in self._isolation.next_unit():
            self._send(session, batch)
        if not self._isolation.active:
            self._kept_batches.reset()

    def _set_blocked(self, blocked: bool) -> None:
        if blocked != self._blocked:
            what = "is low on memory or disk and blocks publishers" if blocked else "accepts messages again"
            logger.warning("the broker %s", what)
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
        now = time.monotonic()
        self._connect_backoff.reset()
        self._returned_batches.reset()
        if not published.batch.is_dead_letter:
            self._last_accepted = now
            self._refusals.forget_accepted(published.batch.route)
        self._metrics.confirmed.inc(count)
        self._metrics.confirm_seconds.observe(now - published.time)
        published.batch.pending.confirm(count)

    def _separate_returned(self, published: PublishedBatch, indices: Sequence[int]) -> None:
        """Separate returned messages from those that a queue received, because the broker confirms both kinds."""
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
            self._enqueue_dead_letters(batch.pending, batch.bodies, "unroutable", describe_route(batch.route))
        else:
            self._publish_later(batch, "returned")

    def _publish_later(self, batch: Batch, reason: str) -> None:
        """Publish a batch again after a delay, together with all batches that are added before the end of the delay."""
        self._metrics.published_again.labels(reason).inc(len(batch))
        if delay := self._returned_batches.add(batch):
            fields = {"event.reason": reason, "again_in_seconds": delay}
            logger.warning("the broker refused or returned messages", extra=fields)

    def _publish_again(self, batches: list[Batch]) -> None:
        for batch in batches:
            self._enqueue(batch)
        self._publish_queue()

    def _handle_loss(self, loss: Loss) -> bool:
        """Handle the end of a channel. Return whether the caller should open another channel on the same connection."""
        self._session = None
        self._metrics.buffered.set(0)
        batches = [published.batch.select(indices) for published, indices in self._unconfirmed.list_all()]
        self._unconfirmed = UnconfirmedMessages()
        self._returned.clear()
        fields = {"event.reason": loss.reason, "unconfirmed": sum(map(len, batches))}
        if loss.reply and batches:
            logger.info("the broker closed the channel because of a message", extra=fields)
            self._metrics.refusals.labels(str(loss.reply.code)).inc()
            return self._handle_refusal(batches, loss.reply) and loss.connection_open
        logger.warning("lost the session with the broker", extra=fields)
        self._requeue(batches)
        return False

    def _requeue(self, batches: list[Batch]) -> None:
        """Insert messages of a closed channel again: into the active isolation, or else at the start of the queue."""
        self._metrics.published_again.labels("lost").inc(sum(map(len, batches)))
        if self._isolation.active:
            self._isolation.restart(batches)
        else:
            self._queue.extendleft(reversed(batches))

    def _handle_refusal(self, batches: list[Batch], reply: Reply) -> bool:
        """Find or isolate the message that the broker has refused. Return False if the broker refuses all events.

        Parameters
        ----------
        batches
            The unconfirmed messages. The broker refused one of them, and may have stored others in a queue already.
        """
        if self._size_limit.learn(reply, batches):
            self._apply_size_limit(batches)
            return True
        if sum(map(len, batches)) > 1:
            self._metrics.published_again.labels("lost").inc(sum(map(len, batches)))
            self._isolation.restart(batches)
            return True
        (batch,) = batches
        refusal = self._refusals.judge(batch, reply, self._last_accepted)
        if refusal is None:
            logger.error("the broker refuses all events", extra=describe_message(batch, reply))
            self._metrics.published_again.labels("refused").inc()
            self._isolation.restart(batches)
            return False
        self._isolation.restart([])
        log_refusal(batch, refusal)
        if self._refusals.probably_all and not refusal.final:
            for suspects in self._isolation.remove_all():
                self._keep(suspects)
        self._apply(refusal, batch)
        if refusal.scope is Scope.ROUTE:
            self._enqueue_again()
        return True

    def _apply(self, refusal: Refusal, batch: Batch) -> None:
        """Publish a refused batch to the dead-letter route, drop the batch, or keep it for a later attempt."""
        if refusal.final and not batch.is_dead_letter:
            headers = describe_refusal(batch.route, refusal.reply)
            self._enqueue_dead_letters(batch.pending, batch.bodies, "refused", headers)
        elif refusal.final and refusal.scope is Scope.MESSAGE:
            self._drop(batch.pending, batch.bodies, "refused")
        else:
            self._keep(batch)

    def _keep(self, batch: Batch) -> None:
        self._metrics.published_again.labels("refused").inc(len(batch))
        self._kept_batches.add(batch)

    def _remove_refused(self, batch: Batch) -> bool:
        if refusal := self._refusals.find(batch.route):
            self._apply(refusal, batch)
        return refusal is not None

    def _test_kept(self, batches: list[Batch]) -> None:
        """Publish the kept messages again through the isolation, so that a refusal does not affect other messages."""
        self._refusals.start_attempt()
        for batch in batches:
            self._isolation.add(batch)
        self._publish_queue()

    def _apply_size_limit(self, batches: list[Batch]) -> None:
        """Publish messages above the size limit as dead letters, and insert the others at the start of the queue."""
        suspects = self._isolation.remove_all()
        self._enqueue_again()
        self._requeue([rest for batch in batches if (rest := self._remove_large(batch))])
        for batch in suspects:
            if rest := self._remove_large(batch):
                self._isolation.add(rest)

    def _enqueue_again(self) -> None:
        """Build the queue again, after the publisher has learned a new refusal or size limit of the broker."""
        queued, self._queue = self._queue, deque()
        for batch in queued:
            self._enqueue(batch)

    def _enqueue(self, batch: Batch) -> None:
        """Add a batch to the queue. Handle messages separately if the publisher knows that the broker refuses them."""
        if not (rest := self._remove_large(batch)):
            return
        refusal = self._refusals.find(batch.route)
        if refusal is None:
            self._queue.append(rest)
        elif self._refusals.start_test(refusal, batch.route):
            self._isolation.add(rest)
        else:
            self._apply(refusal, rest)

    def _remove_large(self, batch: Batch) -> Batch | None:
        """Publish the messages above the broker's size limit as dead letters, and return the others."""
        deliverable, large = self._size_limit.split(batch)
        for body in large:
            start = body[: self._size_limit.bytes_max]
            self._enqueue_dead_letters(batch.pending, [start], "above_broker_limit", describe_size(len(body)))
        return deliverable
