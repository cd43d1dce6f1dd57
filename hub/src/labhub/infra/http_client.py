"""The HTTP client session for GitHub and the fileserver. It keeps connections open to save handshakes."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

import aiohttp

# A limit per host, so that an outage of GitHub does not block requests to the fileserver. GitHub allows 100:
# https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
CONNECTIONS_PER_HOST = 100

_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()
_closers: set[asyncio.Task[None]] = set()


def get_session() -> aiohttp.ClientSession:
    """Return the session of the running event loop. The first call creates it."""
    loop = asyncio.get_running_loop()
    if loop not in _sessions:
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_PER_HOST)
        # No cookies: one user's cookies must not be sent with another user's request.
        _sessions[loop] = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        _closers.add(closer := loop.create_task(_close_at_shutdown(_sessions[loop])))
        closer.add_done_callback(_closers.discard)
    return _sessions[loop]


async def _close_at_shutdown(session: aiohttp.ClientSession) -> None:
    """Wait until JupyterHub cancels all tasks at its shutdown, then close the session."""
    try:
        await asyncio.Event().wait()
    finally:
        await session.close()
