"""Rounds: many labs are requested at the same time, and the time until each lab is ready is measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aiohttp

from benchmarks.scaling.hubs import Hub


class LoadError(Exception):
    """The failure of a lab: it did not start, or it ended. The message has the hub's answer."""


# The errors that count as a failed lab: a lab that did not start, or a connection that the hub or the proxy closed
FAILURES = (LoadError, aiohttp.ClientError)


@dataclass(frozen=True)
class Round:
    """The times of labs that were requested at the same time.

    Attributes
    ----------
    seconds
        Sorted times in seconds until each lab was ready. Failed labs are left out.
    cpu
        Seconds of the hub's CPU per requested lab.
    failures
        Number of labs that failed.
    """

    seconds: list[float]
    cpu: float
    failures: int


async def together(tasks: Sequence[Callable[[], Awaitable[None]]], hub: Hub | None = None) -> Round:
    """Run all tasks at the same time, where each task requests a lab. Return the times and the hub's CPU time.

    If a task fails, its error is printed and counted, and the other tasks continue.

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
    """Print the error of a failed lab in one line."""
    print(f"    failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}", flush=True)
