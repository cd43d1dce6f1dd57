"""Isolation of the message that made the broker close the channel: suspects are published again in small units."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from beatsrelay.amqp.messages import Batch
from beatsrelay.routing import Route

# Largest number of messages in a unit. The messages of a refused unit are published again, so up to this number of
# messages arrive twice. With larger units the relay would wait for the broker less often: with this size, 8,192
# suspects take 40 units if the broker accepts their routes.
UNIT_MAX = 256


class Isolation:
    """The suspects: messages that were unconfirmed when the broker closed the channel, in their order.

    The first message of a route is published alone, because a refusal with 403 concerns the route. If the broker
    accepts the route, units of several messages follow. The size of a unit doubles after each accepted unit, and is one
    again after a refused unit.

    Parameters
    ----------
    remove_refused
        Called with suspects before they are published. If the broker is known to refuse their route, the function
        handles the suspects and returns True.
    """

    def __init__(self, remove_refused: Callable[[Batch], bool]) -> None:
        self._remove_refused = remove_refused
        self._suspects: deque[Batch] = deque()
        self._unit: list[Batch] = []  # published, and not refused
        self._accepted: set[Route] = set()
        self._unit_size = 1

    @property
    def active(self) -> bool:
        """Whether suspects are left, or the last unit is not answered."""
        return bool(self._suspects or self._unit)

    def __len__(self) -> int:
        return sum(map(len, self._suspects))

    def restart(self, batches: Iterable[Batch]) -> None:
        """Add suspects before all others, and start with single messages again, because the channel was closed."""
        self._suspects.extendleft(reversed(list(batches)))
        self._unit = []
        self._unit_size = 1

    def add(self, batch: Batch) -> None:
        """Add suspects after all others."""
        self._suspects.append(batch)

    def remove_all(self) -> list[Batch]:
        """Remove the suspects that were not published, and return them."""
        suspects, self._suspects = list(self._suspects), deque()
        return suspects

    def next_unit(self) -> list[Batch]:
        """Return the messages to publish next, or nothing at the end.

        Call it after the broker has answered the previous unit.
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
        """Remove up to `count` messages from the first batch, and return them."""
        batch = self._suspects.popleft()
        if len(batch) <= count:
            return batch
        self._suspects.appendleft(batch.select(range(count, len(batch))))
        return batch.select(range(count))
