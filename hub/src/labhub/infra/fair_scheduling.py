"""One after the other: a crowd that comes at once does not keep the hub from answering anybody else.

Whatever is ready runs in one pass of the event loop, and whoever came meanwhile waits until the pass is over: of 200
requests that take 10 ms each, two seconds, and as often as an answer takes passes. Here each pass lets one of them go
on.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def take() -> None:
    """Wait for one's turn to do something that takes milliseconds of the processor."""
    async with _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        await asyncio.sleep(0)
