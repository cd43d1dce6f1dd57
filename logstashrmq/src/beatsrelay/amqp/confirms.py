"""Which messages the broker has answered for: a low-water mark of delivery tags, and the holes above it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter

from beatsrelay.amqp.messages import Batch

Settled = list[tuple[Batch, Sequence[int]]]


class Confirms:
    """The open delivery tags of one channel.

    Confirms come in any order: a nack of tag 7 may come before the ack that says "all up to 9".
    """

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._next = 1
        self._low = 0  # all up to it are settled
        self._early: set[int] = set()  # settled above it

    def __len__(self) -> int:
        return self._next - 1 - self._low - len(self._early)

    def add(self, batch: Batch) -> None:
        """Give a batch the tags that the broker will count for it."""
        batch.first = self._next
        self._next += len(batch)
        self._batches.append(batch)

    def settle(self, tag: int, *, multiple: bool) -> Settled:
        """Settle a tag, or all up to it; give the messages that are settled by it, and only now.

        Parameters
        ----------
        tag
            As the broker sent it; with `multiple`, 0 means all that are open.
        """
        tag = self._next - 1 if multiple and tag == 0 else tag
        if tag <= self._low or tag >= self._next or (tag in self._early and not multiple):
            return []
        if multiple or tag == self._low + 1:
            return list(self._raise_low(tag))
        self._early.add(tag)
        batch = self._batches[bisect_right(self._batches, tag, key=attrgetter("first")) - 1]
        return [(batch, [tag - batch.first])]

    def _raise_low(self, tag: int) -> Iterator[tuple[Batch, Sequence[int]]]:
        low, gone = self._low, 0
        for batch in self._batches:
            start, stop = max(low + 1, batch.first), min(tag + 1, batch.first + len(batch))
            if start >= stop:
                break
            indices = self._open_indices(batch, start, stop)
            gone += stop == batch.first + len(batch)
            if indices:
                yield batch, indices
        del self._batches[:gone]
        self._low = tag
        if self._early:
            self._early = {early for early in self._early if early > tag}
            self._close_up()

    def _open_indices(self, batch: Batch, start: int, stop: int) -> Sequence[int]:
        if not self._early:
            return range(start - batch.first, stop - batch.first)
        return [tag - batch.first for tag in range(start, stop) if tag not in self._early]

    def _close_up(self) -> None:
        while self._low + 1 in self._early:
            self._low += 1
            self._early.discard(self._low)
        while self._batches and self._batches[0].first + len(self._batches[0]) <= self._low + 1:
            del self._batches[0]

    def open(self) -> Settled:
        """Give what is not settled, in the order in which it was published."""
        return [
            (batch, indices)
            for batch in self._batches
            if (indices := self._open_indices(batch, max(batch.first, self._low + 1), batch.first + len(batch)))
        ]
