"""Tests of the limit on events in flight: waiting connections continue in order, and one chunk can exceed the limit."""

from __future__ import annotations

import asyncio

import pytest
from beatsrelay.backpressure import InFlightLimit
from beatsrelay.metrics import Metrics


class Readers:
    """Simulated connections that share one limit on events in flight, and wait until it has capacity.

    Attributes
    ----------
    order
        Numbers of the connections in the order in which they received capacity.
    """

    def __init__(self, events: int, size: int) -> None:
        self.limit = InFlightLimit(events, size, Metrics())
        self.order: list[int] = []

    async def read(self, number: int, events: int = 1, size: int = 1) -> None:
        """Wait for capacity, and then count `events` events as in flight."""
        await self.limit.wait_for_capacity()
        self.limit.add(events, size)
        self.order.append(number)

    def start_reading(self, number: int, events: int = 1, size: int = 1) -> asyncio.Task[None]:
        """Start a task that waits for capacity."""
        return asyncio.ensure_future(self.read(number, events, size))


async def run_other_tasks() -> None:
    """Let all other tasks run until each of them waits."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_capacity_is_assigned_in_order() -> None:
    readers = Readers(10, 1000)
    await readers.read(0, 8, 100)
    await readers.read(1, 8, 100)  # while any capacity is left, a chunk of any size is allowed
    tasks = [readers.start_reading(number) for number in (2, 3, 4)]
    await run_other_tasks()
    tasks[1].cancel()
    await run_other_tasks()
    assert readers.order == [0, 1]
    readers.limit.remove(8, 100)
    await asyncio.gather(tasks[0], tasks[2])
    assert readers.order == [0, 1, 2, 4]


@pytest.mark.asyncio
@pytest.mark.parametrize(("events", "size"), [(5, 1), (1, 5)])
async def test_limit_is_exceeded_by_one_reader_at_a_time(events: int, size: int) -> None:
    readers = Readers(5, 5)
    await readers.read(0, events, size)
    tasks = [readers.start_reading(number, events, size) for number in (1, 2)]
    await run_other_tasks()
    readers.limit.remove(1, 1)
    tasks.append(readers.start_reading(3, events, size))
    await run_other_tasks()
    assert readers.order == [0, 1], "no capacity is left, and a new reader waits behind the others"
    for _ in range(3):
        readers.limit.remove(events, size)
        await run_other_tasks()
    await asyncio.wait_for(asyncio.gather(*tasks), 1)
    assert readers.order == [0, 1, 2, 3]


@pytest.mark.asyncio
async def test_cancelled_reader_leaves_capacity_to_the_next() -> None:
    readers = Readers(1, 1)
    await readers.read(0)
    first, second = readers.start_reading(1), readers.start_reading(2)
    await run_other_tasks()
    readers.limit.remove(1, 1)
    first.cancel()
    await asyncio.wait_for(second, 1)
    assert readers.order == [0, 2]
