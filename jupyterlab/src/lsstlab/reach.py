"""The first connection of a lab that has just been made to its hub.

Where NetworkPolicies are enforced, the network learns of a new pod up to a second or two after it runs. Until then its
first packet is dropped, and Linux sends the next after a second: JupyterHub's look at the hub's version, which a start
waits for, cost that second in every other spawn. To try anew is faster.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

ATTEMPTS, ATTEMPT_SECONDS = 40, 0.05


async def reach(url: str) -> None:
    """Wait until whoever is at a URL takes a connection, 2 s at most; what is wrong then JupyterHub says."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    for _ in range(ATTEMPTS):
        with suppress(TimeoutError):
            async with asyncio.timeout(ATTEMPT_SECONDS):
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(parts.hostname, port)
                    writer.close()
                return


def reach_first(server: type[Any]) -> None:
    """Have JupyterHub's server reach the hub before it looks at its version."""
    look = server.check_hub_version

    async def check_hub_version(self: Any) -> None:
        await reach(self.hub_auth.api_url)
        await look(self)

    server.check_hub_version = check_hub_version
