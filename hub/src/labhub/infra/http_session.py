"""Connections to GitHub and to the fileserver, kept and used again: a handshake takes longer than a question."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

import aiohttp

# So that one of them that hangs does not hold up the other; more at once GitHub does not want.
PER_HOST = 100

_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()


def session() -> aiohttp.ClientSession:
    """Give the session of the running loop, which is made at the first call."""
    loop = asyncio.get_running_loop()
    if loop not in _sessions:
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=PER_HOST)
        # Cookies of one user's request must not go with another's.
        _sessions[loop] = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
    return _sessions[loop]


async def close() -> None:
    """Close those of the running loop, at its end."""
    if found := _sessions.pop(asyncio.get_running_loop(), None):
        await found.close()
