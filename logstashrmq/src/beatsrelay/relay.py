"""Joins the two sides: events from a connection to the publisher, confirms back to acknowledgements."""

from __future__ import annotations

import asyncio

from beatsrelay.backpressure import Budget
from beatsrelay.beats.ack_tracker import Ledger, Portion
from beatsrelay.lumberjack.connection import Chunk
from beatsrelay.lumberjack.frames import ProtocolError
from beatsrelay.amqp.messages import Batch, Debt
from beatsrelay.metrics import Metrics
from beatsrelay.amqp.publisher import Publisher
from beatsrelay.beats.server import Peer, PeerError
from beatsrelay.settings import Settings
from beatsrelay.event_filter import Shaper


class Relay:
    """Acknowledges to Beats what the broker has confirmed, and nothing else."""

    def __init__(self, settings: Settings, publisher: Publisher, metrics: Metrics) -> None:
        self._settings = settings
        self._publisher = publisher
        self._metrics = metrics
        self._shaper = Shaper(settings)
        self._budget = Budget(settings.max_in_flight, settings.max_in_flight_bytes, metrics)
        self._ledgers: set[Ledger] = set()

    async def serve(self, peer: Peer) -> None:
        """Take a connection's events until it ends, and acknowledge all of them, as long as it is there."""
        ledger = Ledger(peer.acknowledge, self._finish_window)
        self._ledgers.add(ledger)
        failure: Exception | None = None
        try:
            try:
                async for chunk in peer.chunks(lambda: self._room(ledger)):
                    self._take(ledger, chunk)
                    if ledger.full:
                        await peer.unless_gone(ledger.room())
            except (PeerError, ProtocolError) as error:
                failure = error  # what came before it is owed all the same
            await peer.unless_gone(ledger.empty())
        finally:
            self._ledgers.discard(ledger)
            ledger.keep_alive(0)  # at a deadline: what is safe need not be sent again
        if failure:
            raise failure

    def _finish_window(self, seconds: float) -> None:
        self._metrics.windows.inc()
        self._metrics.window_seconds.observe(seconds)

    async def _room(self, ledger: Ledger) -> None:
        with ledger.waiting():
            await self._budget.room()

    def _take(self, ledger: Ledger, chunk: Chunk) -> None:
        count, size = len(chunk.events) + len(chunk.oversized), sum(map(len, chunk.events))
        size += sum(len(event.start) for event in chunk.oversized)
        portion = Portion(chunk.sequence, chunk.last, began=ledger.asked)
        if not count:
            if chunk.last:
                ledger.add(portion)
                ledger.settle(portion)
            return
        self._metrics.received.inc(count)
        self._metrics.received_bytes.inc(size)
        self._budget.take(count, size)
        ledger.add(portion)

        def paid(debt: Debt) -> None:
            self._budget.give_back(count, size)
            ledger.settle(portion)

        self._hand_on(chunk, Debt(count, size, paid))

    def _hand_on(self, chunk: Chunk, debt: Debt) -> None:
        routed, malformed = self._shaper.shape(chunk.events)
        for route, events in routed:
            self._publisher.publish(Batch(debt, route, events, self._publisher.number(len(events))))
        if malformed:
            self._publisher.bury(debt, malformed, "malformed", {})
        for event in chunk.oversized:
            self._publisher.bury(debt, [event.start], "oversized", {"x-size": event.size})

    async def keep_alive(self) -> None:
        """Tell peers whose windows take long that we are still at it, for ever."""
        seconds = self._settings.keepalive_seconds
        while True:
            await asyncio.sleep(min(seconds / 4, 1))
            for ledger in list(self._ledgers):
                self._metrics.keepalives.inc(ledger.keep_alive(seconds))
