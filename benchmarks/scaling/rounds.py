"""Labs that are requested at the same time, and how long each took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from benchmarks.scaling.hubs import Hub


class LoadError(Exception):
    """A lab did not start, or is gone. The message has the answer of the hub."""


@dataclass(frozen=True)
class Round:
    """The times of labs that were requested at the same time.

    Attributes
    ----------
    seconds
        Time until each was ready, sorted.
    cpu
        Seconds of the hub's processor per lab.
    """

    seconds: list[float]
    cpu: float


async def together(tasks: Sequence[Callable[[], Awaitable[None]]], hub: Hub | None = None) -> Round:
    """Run all tasks at the same time. Return the time of each, and the processor time of the hub."""
    before = hub.cpu() if hub else 0.0
    start = time.monotonic()

    async def one(task: Callable[[], Awaitable[None]]) -> float:
        await task()
        return time.monotonic() - start

    seconds = sorted(await asyncio.gather(*(one(task) for task in tasks)))
    return Round(seconds, ((hub.cpu() if hub else 0.0) - before) / len(tasks))
