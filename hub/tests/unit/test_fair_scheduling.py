"""Tests of `yield_turn`: in each pass of the event loop, only one of the waiting tasks continues."""

from __future__ import annotations

import asyncio

import pytest
from labhub.infra.fair_scheduling import yield_turn


@pytest.mark.asyncio
async def test_one_task_continues_per_pass_in_order() -> None:
    passes: list[list[int]] = [[]]
    done = asyncio.Event()

    async def work(number: int) -> None:
        await yield_turn()
        passes[-1].append(number)
        if number == 19:
            done.set()

    async def count() -> None:
        while not done.is_set():
            await asyncio.sleep(0)
            passes.append([])

    await asyncio.gather(count(), *(work(number) for number in range(20)))
    assert max(len(numbers) for numbers in passes) == 1
    assert [number for numbers in passes for number in numbers] == list(range(20))


@pytest.mark.asyncio
async def test_cancelled_task_does_not_block_others() -> None:
    waiting = [asyncio.create_task(yield_turn()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.wait_for(asyncio.gather(waiting[0], waiting[2]), 5)
