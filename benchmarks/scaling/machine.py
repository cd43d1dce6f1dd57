"""The machine of the benchmark: its speed, and the commands that stop and start the Kubernetes API."""

from __future__ import annotations

import asyncio
import shlex
import time


def measure_machine() -> float:
    """Return the duration of a fixed Python loop in seconds.

    It shows the speed of the machine, which varies on a shared host.
    """
    start, total = time.monotonic(), 0
    for number in range(1_000_000):
        total += number * number % 7
    return time.monotonic() - start


async def call(command: str) -> None:
    """Run a command, for example to stop the API server. Raise a RuntimeError if the command fails."""
    process = await asyncio.create_subprocess_exec(*shlex.split(command), stdout=asyncio.subprocess.DEVNULL)
    if await process.wait():
        raise RuntimeError(f"{command} failed")
