"""Publishes until the broker has confirmed: keeps messages, connects again, and sends again what is open."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import re
import sys
import time
from collections import deque
from collections.abc import Sequence

from beatsrelay.amqp.session import BrokerError, Session
from beatsrelay.amqp.confirms import Confirms
from beatsrelay.amqp.messages import Batch, Debt
from beatsrelay.metrics import Metrics
from beatsrelay.settings import Settings

logger = logging.getLogger(__name__)

# pika's buffer has no bound of its own: above this nothing is added until the broker has answered.
BUFFER_BYTES = 4 * 1024 * 1024
TOO_LARGE = re.compile(r"message size \d+ (?:is )?larger than (?:configured )?max size (\d+)")


class Backoff:
    """Waiting times that double, with jitter, until something works."""

    def __init__(self, first: float = 0.5, longest: float = 30) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def next(self) -> float:
        """Give the next one, half of it by chance, so that replicas do not come back together."""
        delay, self._next = self._next, min(self._next * 2, self._longest)
        return delay * random.uniform(0.5, 1)  # noqa: S311

    def reset(self) -> None:
        """Begin anew."""
        self._next = self._first


class Publisher:
    """Owes each message it is given until the broker confirms it.

    Its memory is bounded by whoever gives it messages. Messages keep their order as long as the broker takes them.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._waiting: deque[Batch] = deque()
        self._refused: list[Batch] = []
        self._confirms = Confirms()
        self._returned: set[int] = set()
        self._session: Session | None = None
        self._blocked = False
        self._largest = sys.maxsize  # of a message, once the broker has said it
        self._connecting = Backoff()
        self._retrying = Backoff()
        self._numbered = 0
        self.connected = asyncio.Event()

    def number(self, count: int) -> Sequence[int]:
        """Reserve numbers for so many new messages."""
        first, self._numbered = self._numbered, self._numbered + count
        return range(first, first + count)

    def publish(self, batch: Batch) -> None:
        """Take a batch; its debt is paid as the broker confirms."""
        self._waiting.append(batch)
        if batch.debt.size > self._largest:
            self._bury_large(self._waiting.pop())
        self._pump()

    def bury(self, debt: Debt, bodies: Sequence[bytes], reason: str, headers: dict[str, str | int]) -> None:
        """Send events that cannot be delivered to the dead-letter route; without one drop them, and count."""
        if self._settings.dead_letter is None:
            self._metrics.dropped.labels(reason).inc(len(bodies))
            debt.pay(len(bodies))
            return
        self._metrics.dead_lettered.labels(reason).inc(len(bodies))
        told = {"x-relay-reason": reason} | headers
        self.publish(Batch(debt, self._settings.dead_letter, bodies, self.number(len(bodies)), told))

    async def run(self) -> None:
        """Keep a session with the broker, for ever."""
        hosts = itertools.cycle(random.sample(self._settings.amqp_hosts, len(self._settings.amqp_hosts)))
        try:
            for host in hosts:
                session = Session(self._settings)
                try:
                    await session.open(host)
                except BrokerError as error:
                    self._metrics.connect_failures.inc()
                    logger.warning("no session with the broker", extra={"reason": str(error)})
                else:
                    await self._use(session)
                await asyncio.sleep(self._connecting.next())
        finally:
            if self._session:
                await self._session.close()

    async def _use(self, session: Session) -> None:
        session.on_confirm, session.on_return, session.on_blocked = self._confirm, self._note_return, self._block
        self._session = session
        self._metrics.connects.inc()
        self._metrics.up.set(1)
        self.connected.set()
        logger.info("publishing", extra={"exchange": self._settings.exchange, "messages_waiting": self._count()})
        self._pump()
        reason = await session.lost
        logger.warning("lost the session with the broker", extra={"reason": reason, "unconfirmed": len(self._confirms)})
        self._session = None
        session.ignore()
        self._metrics.up.set(0)
        self._block(blocked=False)
        self._publish_again(reason)
        await session.close()

    def _count(self) -> int:
        return sum(map(len, self._waiting))

    def _pump(self) -> None:
        session = self._session
        while session and self._waiting and not self._blocked and session.buffered < BUFFER_BYTES:
            batch = self._waiting.popleft()
            batch.published = time.monotonic()
            self._confirms.add(batch)
            self._metrics.published.inc(len(batch))
            session.publish(batch)

    def _block(self, blocked: bool) -> None:
        if blocked != self._blocked:
            logger.warning("the broker is short of memory or disk" if blocked else "the broker takes messages again")
        self._blocked = blocked
        self._metrics.blocked.set(blocked)
        self._pump()

    def _note_return(self, number: int | None) -> None:
        if number is not None:
            self._returned.add(number)

    def _confirm(self, tag: int, multiple: bool, taken: bool) -> None:
        for batch, indices in self._confirms.settle(tag, multiple=multiple):
            if not taken:
                self._metrics.nacked.inc(len(indices))
                self._retry(batch.pick(indices), "nacked")
            elif self._returned:
                self._sort_returned(batch, indices)
            else:
                self._pay(batch, len(indices))
        self._pump()

    def _pay(self, batch: Batch, count: int) -> None:
        self._connecting.reset()
        if not self._refused:
            self._retrying.reset()
        self._metrics.confirmed.inc(count)
        self._metrics.confirm_seconds.observe(time.monotonic() - batch.published)
        batch.debt.pay(count)

    def _sort_returned(self, batch: Batch, indices: Sequence[int]) -> None:
        """Tell apart what a queue took and what none did: the broker confirms both."""
        returned = [i for i in indices if batch.numbers[i] in self._returned]
        if returned:
            self._returned.difference_update(batch.numbers[i] for i in returned)
            self._metrics.returned.inc(len(returned))
            self._handle_returned(batch.pick(returned))
        if len(indices) > len(returned):
            self._pay(batch, len(indices) - len(returned))

    def _handle_returned(self, batch: Batch) -> None:
        if self._settings.unroutable == "dead-letter" and batch.route != self._settings.dead_letter:
            route = batch.route
            self.bury(batch.debt, batch.bodies, "unroutable", {"x-exchange": route.exchange, "x-key": route.key})
        else:
            self._retry(batch, "returned")

    def _retry(self, batch: Batch, reason: str) -> None:
        """Send a batch again after a while."""
        self._metrics.published_again.labels(reason).inc(len(batch))
        if not self._refused:
            delay = self._retrying.next()
            logger.warning("the broker did not take messages", extra={"reason": reason, "again_in_seconds": delay})
            asyncio.get_running_loop().call_later(delay, self._requeue)
        self._refused.append(batch)

    def _requeue(self) -> None:
        refused, self._refused = self._refused, []
        self._waiting.extend(refused)
        self._pump()

    def _publish_again(self, reason: str) -> None:
        """Put all that a lost session left open before what waits."""
        batches = [batch.pick(indices) for batch, indices in self._confirms.open()]
        self._confirms = Confirms()
        self._returned.clear()
        self._metrics.published_again.labels("lost").inc(sum(map(len, batches)))
        self._waiting.extendleft(reversed(batches))
        if found := TOO_LARGE.search(reason):
            self._largest = int(found[1])
            waiting, self._waiting = self._waiting, deque()
            for batch in waiting:
                self._bury_large(batch)

    def _bury_large(self, batch: Batch) -> None:
        """Sort out what is larger than the broker allows: it would cost each session anew."""
        large = [i for i, body in enumerate(batch.bodies) if len(body) > self._largest]
        small = [i for i, body in enumerate(batch.bodies) if len(body) <= self._largest]
        if small:
            self._waiting.append(batch.pick(small))
        for i in large:
            body = batch.bodies[i]
            self.bury(batch.debt, [body[: self._largest]], "above_broker_limit", {"x-size": len(body)})
