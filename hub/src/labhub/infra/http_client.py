"""The HTTP client session for requests to GitHub and the fileserver. The session reuses open connections."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

import aiohttp

# Maximum number of connections to one host. The limit is per host, so that an outage of GitHub does not block requests
# to the fileserver. GitHub allows 100 concurrent requests:
# https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
CONNECTIONS_PER_HOST = 100

_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()
_closers: set[asyncio.Task[None]] = set()


def get_session() -> aiohttp.ClientSession:
    """Return the client session of the running event loop. The first call creates the session."""
    loop = asyncio.get_running_loop()
    if loop not in _sessions:
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_PER_HOST)
        # The session stores no cookies, because the hub must not send a cookie of one user's response with another
        # user's request.
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
