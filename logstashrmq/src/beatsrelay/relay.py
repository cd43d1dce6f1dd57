"""The relay: it passes events from Beats to the publisher, and acknowledges events that the broker has confirmed."""

from __future__ import annotations

import asyncio
from functools import partial

from beatsrelay.amqp.dead_letters import describe_size
from beatsrelay.amqp.messages import Batch, PendingConfirmation
from beatsrelay.amqp.publisher import Publisher
from beatsrelay.backpressure import InFlightLimit
from beatsrelay.beats.ack_tracker import AckTracker, WindowPart
from beatsrelay.beats.peer import Peer, PeerError
from beatsrelay.event_filter import EventFilter
from beatsrelay.lumberjack.connection import Chunk
from beatsrelay.lumberjack.frames import ProtocolError
from beatsrelay.metrics import Metrics
from beatsrelay.settings import Settings


class Relay:
    """A relay that acknowledges events to Beats only after the broker has confirmed them."""

    def __init__(self, settings: Settings, publisher: Publisher, metrics: Metrics) -> None:
        self._settings = settings
        self._publisher = publisher
        self._metrics = metrics
        self._event_filter = EventFilter(settings)
        self._in_flight_limit = InFlightLimit(settings.max_in_flight, settings.max_in_flight_bytes, metrics)
        self._trackers: set[AckTracker] = set()

    async def serve(self, peer: Peer) -> None:
        """Relay the events of a connection until the peer ends the connection.

        After the end, wait until all received events are acknowledged, or until the connection is closed.

        Raises
        ------
        ProtocolError, PeerError
            Raised after the events before the error were acknowledged.
        """
        tracker = AckTracker(peer.acknowledge, self._report_window)
        self._trackers.add(tracker)
        failure: Exception | None = None
        try:
            try:
                async for chunk in peer.read_chunks(partial(self._wait_for_capacity, tracker)):
                    self._relay_chunk(tracker, chunk)
                    if tracker.is_full:
                        await peer.wait_while_connected(tracker.wait_until_not_full())
            except (PeerError, ProtocolError) as error:
                failure = error
            await peer.wait_while_connected(tracker.wait_until_empty())
        finally:
            self._trackers.discard(tracker)
            # A shutdown may end this task inside a window. Acknowledge the confirmed part of the window, so that the
            # peer sends only the rest again.
            tracker.send_keepalive(0)
        if failure:
            raise failure

    def _report_window(self, seconds: float) -> None:
        self._metrics.windows.inc()
        self._metrics.window_seconds.observe(seconds)

    async def _wait_for_capacity(self, tracker: AckTracker) -> None:
        with tracker.waiting_for_capacity():
            await self._in_flight_limit.wait_for_capacity()

    def _relay_chunk(self, tracker: AckTracker, chunk: Chunk) -> None:
        part = WindowPart(chunk.sequence, chunk.last, started=tracker.wait_started)
        count = len(chunk.events) + len(chunk.oversized)
        if not count:
            if chunk.last:
                tracker.add(part)
                tracker.confirm(part)
            return
        size = sum(map(len, chunk.events)) + sum(len(event.start) for event in chunk.oversized)
        self._metrics.received.inc(count)
        self._metrics.received_bytes.inc(size)
        self._in_flight_limit.add(count, size)
        tracker.add(part)

        def complete() -> None:
            self._in_flight_limit.remove(count, size)
            tracker.confirm(part)

        self._publish(chunk, PendingConfirmation(count, complete))

    def _publish(self, chunk: Chunk, pending: PendingConfirmation) -> None:
        filtered = self._event_filter.filter(chunk.events)
        for route, events in filtered.routed:
            numbers = self._publisher.reserve_numbers(len(events))
            self._publisher.publish(Batch(pending, route, events, numbers))
        if filtered.malformed:
            self._publisher.dead_letter(pending, filtered.malformed, "malformed", {})
        for event in chunk.oversized:
            self._publisher.dead_letter(pending, [event.start], "oversized", describe_size(event.size))

    async def send_keepalives(self) -> None:
        """Send keep-alives to peers that wait long for an acknowledgement, so that they keep their connections open.

        Run until this task is cancelled.
        """
        seconds = self._settings.keepalive_seconds
        while True:
            await asyncio.sleep(min(seconds / 4, 1))
            for tracker in list(self._trackers):
                self._metrics.keepalives.inc(tracker.send_keepalive(seconds))
