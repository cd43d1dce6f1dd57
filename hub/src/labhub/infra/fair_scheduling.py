"""Fair scheduling of request handlers, so that many simultaneous requests do not delay the hub's other tasks.

An event loop runs all ready callbacks in one pass, and a new event waits until the pass is over. With 200 requests of
10 ms each, a pass takes two seconds. `yield_turn` lets only one waiting task continue in each pass.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def yield_turn() -> None:
    """Let other tasks run first, and return when it is this task's turn to use some milliseconds of CPU."""
    async with _locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        await asyncio.sleep(0)
