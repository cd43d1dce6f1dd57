"""Rounds of labs that are requested at the same time, with the time that each lab took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aiohttp

from benchmarks.scaling.hubs import Hub


class LoadError(Exception):
    """A lab did not start, or ended. The message has the answer of the hub."""


# The errors that count as a failed lab: a lab that did not start, or a connection that the hub or the proxy closed
FAILURES = (LoadError, aiohttp.ClientError)


@dataclass(frozen=True)
class Round:
    """The times of labs that were requested at the same time.

    Attributes
    ----------
    seconds
        Time until each lab was ready, sorted. Labs that failed are left out.
    cpu
        Seconds of the hub's CPU per requested lab.
    failures
        Number of labs that failed.
    """

    seconds: list[float]
    cpu: float
    failures: int


async def together(tasks: Sequence[Callable[[], Awaitable[None]]], hub: Hub | None = None) -> Round:
    """Run all tasks at the same time. Return the time of each, and the CPU time of the hub.

    A failed lab is counted and shown, and does not end the run.

    Raises
    ------
    LoadError
        Raised if all labs failed.
    """
    before = hub.cpu() if hub else 0.0
    start = time.monotonic()

    async def measure(task: Callable[[], Awaitable[None]]) -> float | None:
        try:
            await task()
        except FAILURES as error:
            show_failure(error)
            return None
        return time.monotonic() - start

    times = await asyncio.gather(*(measure(task) for task in tasks))
    seconds = sorted(value for value in times if value is not None)
    if not seconds:
        raise LoadError("all labs failed")
    return Round(seconds, ((hub.cpu() if hub else 0.0) - before) / len(tasks), len(tasks) - len(seconds))


def show_failure(error: Exception) -> None:
    """Print a failure in one line."""
    print(f"    failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}", flush=True)
