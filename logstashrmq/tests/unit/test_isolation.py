"""Tests of the isolation of refused messages, with random sets of refused messages and routes."""

from __future__ import annotations

import math
from collections import Counter

from beatsrelay.amqp.isolation import UNIT_MAX, Isolation
from beatsrelay.amqp.messages import Batch, PendingConfirmation
from beatsrelay.routing import Route
from hypothesis import given
from hypothesis import strategies as st

ROUTES = "abc"


class Simulation:
    """A simulated broker that refuses some routes and messages, and a publisher that isolates refused messages.

    Attributes
    ----------
    accepted
        Numbers of the messages that the broker accepted, in order. If the broker refuses a later message of the same
        unit, the number of an accepted message occurs again.
    refused
        Numbers of the messages that the broker refused when they were published alone, and of messages with a refused
        route.
    closes
        How often the broker closed the channel.
    """

    def __init__(self, routes: str, messages: set[int]) -> None:
        self._routes = routes
        self._messages = messages
        self._known: set[str] = set()
        self.accepted: list[int] = []
        self.refused: list[int] = []
        self.closes = 0
        self.isolation = Isolation(self._remove_refused)

    def _remove_refused(self, batch: Batch) -> bool:
        if batch.route.key in self._known:
            self.refused += batch.numbers
        return batch.route.key in self._known

    def run(self, batches: list[Batch]) -> None:
        """Isolate refused messages until the broker has accepted or refused each message."""
        self.isolation.restart(batches)
        while unit := self.isolation.next_unit():
            messages = [(batch, i) for batch in unit for i in range(len(batch))]
            bad = [k for k, (batch, i) in enumerate(messages) if self._is_refused(batch, i)]
            accepted = messages[: bad[0]] if bad else messages
            self.accepted += [batch.numbers[i] for batch, i in accepted]
            if bad:
                self._close(unit)

    def _is_refused(self, batch: Batch, index: int) -> bool:
        return batch.route.key in self._routes or batch.numbers[index] in self._messages

    def _close(self, unit: list[Batch]) -> None:
        self.closes += 1
        if sum(map(len, unit)) > 1:  # publish again: in this model, a closed channel confirms nothing
            self.isolation.restart(unit)
            return
        self.refused += unit[0].numbers
        if unit[0].route.key in self._routes:
            self._known.add(unit[0].route.key)
        self.isolation.restart([])


def create_batches(sizes: list[tuple[str, int]]) -> list[Batch]:
    """Return one batch for each routing key in `sizes`, with the given number of messages."""
    batches: list[Batch] = []
    for key, size in sizes:
        first = batches[-1].numbers[-1] + 1 if batches else 0
        pending = PendingConfirmation(size, lambda: None)
        batches.append(Batch(pending, Route("x", key), [b"{}"] * size, range(first, first + size)))
    return batches


@given(
    st.lists(st.tuples(st.sampled_from(ROUTES), st.integers(1, 600)), min_size=1, max_size=12),
    st.sampled_from(["", "a", "ab"]),
    st.sets(st.integers(0, 2000), max_size=4),
)
def test_each_refused_message_is_found_and_no_other(
    sizes: list[tuple[str, int]], routes: str, messages: set[int]
) -> None:
    batches = create_batches(sizes)
    simulation = Simulation(routes, messages)
    simulation.run(batches)
    numbers = [(batch.route.key, number) for batch in batches for number in batch.numbers]
    refused = {number for key, number in numbers if key in routes or number in messages}
    assert Counter(simulation.refused) == Counter(refused)
    first = list(dict.fromkeys(simulation.accepted))
    assert first == sorted({number for _, number in numbers} - refused), "the messages keep their order"
    per_message = 1 + math.ceil(math.log2(UNIT_MAX))
    assert simulation.closes <= len(routes) + per_message * len(messages)
    assert not simulation.isolation.active


def test_accepted_messages_need_few_units() -> None:
    isolation = Isolation(lambda _batch: False)
    isolation.restart(create_batches([("a", 20), ("b", 5)] * 1000))
    units = 0
    while isolation.next_unit():
        units += 1
    assert units < 25_000 / UNIT_MAX + 20


def test_isolation_is_active_until_its_last_unit_is_answered() -> None:
    isolation = Isolation(lambda _batch: False)
    isolation.restart(create_batches([("a", 1)]))
    units, active = [], []
    for _ in range(2):
        units.append([len(batch) for batch in isolation.next_unit()])
        active.append(isolation.active)
    assert (units, active) == ([[1], []], [True, False])
