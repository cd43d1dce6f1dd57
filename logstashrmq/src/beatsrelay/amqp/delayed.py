"""Batches that the publisher publishes again after a delay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from beatsrelay.amqp.backoff import Backoff
from beatsrelay.amqp.messages import Batch


class DelayedBatches:
    """Batches that wait for the end of one common delay. Until `reset`, each delay is longer than the previous one.

    Parameters
    ----------
    publish
        Called with the batches at the end of a delay.
    """

    def __init__(self, publish: Callable[[list[Batch]], None]) -> None:
        self._publish = publish
        self._batches: list[Batch] = []
        self._backoff = Backoff()

    def add(self, batch: Batch) -> float | None:
        """Add a batch. If no other batch waits, start a delay and return the seconds. Otherwise return None."""
        self._batches.append(batch)
        if len(self._batches) > 1:
            return None
        delay = self._backoff.next_delay()
        asyncio.get_running_loop().call_later(delay, self._end_delay)
        return delay

    def _end_delay(self) -> None:
        batches, self._batches = self._batches, []
        self._publish(batches)

    def reset(self) -> None:
        """Reset the next delay to the shortest one, unless a batch is waiting.

        The caller calls this method after a success.
        """
        if not self._batches:
            self._backoff.reset()
