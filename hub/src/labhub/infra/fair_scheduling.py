"""Fair scheduling of request handlers, so that many simultaneous requests do not delay the hub's other tasks.

An event loop runs all ready callbacks in one pass. The callback of a new event waits until this pass is over. With 200
requests of 10 ms each, a pass takes two seconds. If the handlers call `yield_turn` first, only one of them continues in
each pass.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def yield_turn() -> None:
    """Pause the calling task until all earlier callers have continued, one caller in each pass of the event loop."""
    async with _locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        await asyncio.sleep(0)
