"""Publisher confirms of one channel: a record of the messages that wait for an answer of the broker, by delivery tag.

https://www.rabbitmq.com/docs/confirms#publisher-confirms
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from operator import attrgetter

from beatsrelay.amqp.messages import Batch, PublishedBatch

# Selected messages: each batch with the indices of its selected messages
Messages = list[tuple[PublishedBatch, Sequence[int]]]


class UnconfirmedMessages:
    """The messages of one channel that the broker has not answered with an ack or a nack.

    The broker answers in any order. For example, a nack of tag 7 can arrive before an ack of all tags up to 9.
    """

    def __init__(self) -> None:
        self._batches: list[PublishedBatch] = []
        self._next_tag = 1
        self._low_water_mark = 0  # the broker has answered all delivery tags up to this tag
        self._answered_above: set[int] = set()

    def __len__(self) -> int:
        return self._next_tag - 1 - self._low_water_mark - len(self._answered_above)

    def add(self, batch: Batch) -> PublishedBatch:
        """Assign the next delivery tags to a batch.

        The broker assigns the same tags, because both sides count the messages.
        """
        published = PublishedBatch(batch, self._next_tag, time.monotonic())
        self._next_tag += len(batch)
        self._batches.append(published)
        return published

    def remove(self, tag: int, *, multiple: bool) -> Messages:
        """Remove and return the messages that an answer of the broker covers.

        Messages with an earlier answer are omitted.

        Parameters
        ----------
        tag
            Delivery tag from the broker.
        multiple
            Whether the answer is for all tags up to `tag`. With `multiple`, tag 0 means all published messages.
        """
        tag = self._next_tag - 1 if multiple and tag == 0 else tag
        is_known = self._low_water_mark < tag < self._next_tag
        if not is_known or (tag in self._answered_above and not multiple):
            return []
        if multiple or tag == self._low_water_mark + 1:
            return list(self._raise_low_water_mark(tag))
        self._answered_above.add(tag)
        published = self._batches[bisect_right(self._batches, tag, key=attrgetter("first_tag")) - 1]
        return [(published, [tag - published.first_tag])]

    def _raise_low_water_mark(self, tag: int) -> Iterator[tuple[PublishedBatch, Sequence[int]]]:
        completed = 0
        for published in self._batches:
            start, end = max(self._low_water_mark + 1, published.first_tag), min(tag + 1, published.end_tag)
            if start >= end:
                break
            indices = self._select_unanswered(published, start, end)
            completed += end == published.end_tag
            if indices:
                yield published, indices
        del self._batches[:completed]
        self._low_water_mark = tag
        if self._answered_above:
            self._answered_above = {answered for answered in self._answered_above if answered > tag}
            self._skip_answered()

    def _select_unanswered(self, published: PublishedBatch, start: int, end: int) -> Sequence[int]:
        if not self._answered_above:
            return range(start - published.first_tag, end - published.first_tag)
        return [tag - published.first_tag for tag in range(start, end) if tag not in self._answered_above]

    def _skip_answered(self) -> None:
        """Raise the low-water mark to the last tag before the first unanswered tag."""
        while self._low_water_mark + 1 in self._answered_above:
            self._low_water_mark += 1
            self._answered_above.discard(self._low_water_mark)
        while self._batches and self._batches[0].end_tag <= self._low_water_mark + 1:
            del self._batches[0]

    def list_all(self) -> Messages:
        """Return all messages without an answer of the broker, in the order of publishing."""
        return [
            (published, indices)
            for published in self._batches
            if (
                indices := self._select_unanswered(
                    published, max(published.first_tag, self._low_water_mark + 1), published.end_tag
                )
            )
        ]
