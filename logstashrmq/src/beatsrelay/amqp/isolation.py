"""Isolation of a refused message. The broker closes the channel when it refuses a message.

The relay publishes the unconfirmed messages again in small units, until a unit contains only the refused message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from beatsrelay.amqp.messages import Batch
from beatsrelay.routing import Route

# Maximum number of messages in a unit. The messages of a refused unit are published again, so up to this number of
# messages arrive twice. The relay waits for the broker after each unit. With this size, 8,192 suspects (see
# `Isolation`) need about 40 units if the broker accepts their routes. The first units are smaller than this size. With
# a larger size, the relay would wait less often, but cause more duplicates.
UNIT_MAX = 256


class Isolation:
    """The suspects: the messages that were unconfirmed when the broker closed the channel because of one of them.

    The first message of each route is published alone, because reply code 403 refuses the whole route. If the broker
    accepts this message, units with several messages of the route follow. The size of a unit doubles after each
    accepted unit. After a refused unit, the size is one message again.

    Parameters
    ----------
    remove_refused
        Called with suspects before they are published. If the relay knows that the broker refuses their route, the
        function handles the suspects and returns True. Otherwise it returns False.
    """

    def __init__(self, remove_refused: Callable[[Batch], bool]) -> None:
        self._remove_refused = remove_refused
        self._suspects: deque[Batch] = deque()
        self._unit: list[Batch] = []  # the last published unit, which the broker has not refused
        self._accepted: set[Route] = set()
        self._unit_size = 1

    @property
    def active(self) -> bool:
        """Whether messages wait for the isolation, or the broker has not answered the last published unit of them."""
        return bool(self._suspects or self._unit)

    def __len__(self) -> int:
        return sum(map(len, self._suspects))

    def restart(self, batches: Iterable[Batch]) -> None:
        """Insert suspects before all others, and reset the size of a unit to one message.

        Call this method after a channel was closed.
        """
        self._suspects.extendleft(reversed(list(batches)))
        self._unit = []
        self._unit_size = 1

    def add(self, batch: Batch) -> None:
        """Add suspects at the end of the list."""
        self._suspects.append(batch)

    def remove_all(self) -> list[Batch]:
        """Remove and return all suspects that are not part of the last published unit."""
        suspects, self._suspects = list(self._suspects), deque()
        return suspects

    def next_unit(self) -> list[Batch]:
        """Return the next unit to publish. An empty list means that no suspects are left.

        Call this method after the broker has accepted the previous unit, or after `restart`.
        """
        if self._unit:
            self._accepted.update(batch.route for batch in self._unit)
            self._unit_size = min(2 * self._unit_size, UNIT_MAX)
        self._unit = self._take_unit()
        if not self._unit:
            self._accepted.clear()
            self._unit_size = 1
        return self._unit

    def _take_unit(self) -> list[Batch]:
        unit: list[Batch] = []
        size = self._unit_size
        while size and self._suspects:
            if self._remove_refused(self._suspects[0]):
                self._suspects.popleft()
            elif self._suspects[0].route in self._accepted:
                unit.append(self._take(size))
                size -= len(unit[-1])
            else:
                return unit or [self._take(1)]
        return unit

    def _take(self, count: int) -> Batch:
        """Remove up to `count` messages from the first batch of suspects, and return them as a batch."""
        batch = self._suspects.popleft()
        if len(batch) <= count:
            return batch
        self._suspects.appendleft(batch.select(range(count, len(batch))))
        return batch.select(range(count))
