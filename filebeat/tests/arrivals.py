"""A helper that reads events from a RabbitMQ queue, and checks the events against the contract for log events."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from labtesting.logevents import assert_shipped_events

from logstashrmq.tests.harness import Queue, wait_until

FIELDS = {"@timestamp", "agent", "host", "input", "kubernetes", "log", "message", "stream"}


class Arrived:
    """The log events that the tests have read from one RabbitMQ queue."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._bodies: list[bytes] = []
        self._counted: Counter[str] = Counter()

    def wait_for(self, count: int, timeout: float = 180) -> list[dict[str, Any]]:
        """Wait until `count` events have arrived, check all events against the contract and return them flattened."""

        def has_arrived() -> bool:
            self._bodies += [body for _, _, body in self._queue.read()]
            return len(self._bodies) >= count

        try:
            wait_until(has_arrived, f"{count} events have arrived", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}: found {len(self._bodies)} events") from error
        return assert_shipped_events(self._bodies)

    def count(self) -> Counter[str]:
        """Read the new events from the queue, and return how often each message has arrived so far.

        To save time, `count` checks only the first 50 new events against the contract. It checks that all new events
        contain the required fields.
        """
        new = [body for _, _, body in self._queue.read()]
        assert_shipped_events(new[:50])
        for event in map(json.loads, new):
            assert set(event) >= FIELDS
            self._counted[event["message"]] += 1
        return self._counted

    def messages(self, count: int) -> list[str]:
        """Wait until `count` events have arrived, and return the messages of all events, ordered by timestamp."""
        events = self.wait_for(count)
        return [str(event["message"]) for event in sorted(events, key=lambda event: str(event["@timestamp"]))]
