"""Helper for tests: read the events that arrive in a queue, and check them against the contract."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from labtesting.logevents import assert_shipped_events

from logstashrmq.tests.harness import Queue, wait_until

FIELDS = {"@timestamp", "agent", "host", "input", "kubernetes", "log", "message", "stream"}


class Arrived:
    """All events that have arrived in a queue so far."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._bodies: list[bytes] = []
        self._counted: Counter[str] = Counter()

    def wait_for(self, count: int, timeout: float = 180) -> list[dict[str, Any]]:
        """Wait for this number of events, check them against the contract and return them flattened."""

        def has_arrived() -> bool:
            self._bodies += [body for _, _, body in self._queue.read()]
            return len(self._bodies) >= count

        try:
            wait_until(has_arrived, f"{count} events have arrived", timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}: found {len(self._bodies)} events") from error
        return assert_shipped_events(self._bodies)

    def count(self) -> Counter[str]:
        """Return how often each message has arrived so far.

        The first 50 new events are checked against the contract, and all new events for the required fields.
        """
        new = [body for _, _, body in self._queue.read()]
        assert_shipped_events(new[:50])
        for event in map(json.loads, new):
            assert set(event) >= FIELDS
            self._counted[event["message"]] += 1
        return self._counted

    def messages(self, count: int) -> list[str]:
        """Wait for this many events, and return their messages in the order of their timestamps."""
        events = self.wait_for(count)
        return [str(event["message"]) for event in sorted(events, key=lambda event: str(event["@timestamp"]))]
