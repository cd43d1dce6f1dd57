"""Tests of the patch that waits for a connection to the hub.

The tests connect to a server with a full backlog. This server drops packets, as the network of a new pod does.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from lsstlab._patches.jupyterhub import wait_for_connection

ATTEMPTS = 5


async def measure_connection() -> float:
    """Return how long `wait_for_connection` still takes after a server with a full backlog accepts connections.

    The result is in seconds.
    """
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        with socket.create_connection(server.getsockname()):  # this connection fills the backlog
            accepted: list[float] = []

            def accept() -> None:
                accepted.append(time.monotonic())
                for _ in range(2):
                    server.accept()[0].close()

            accepting = threading.Timer(0.1, accept)
            accepting.start()
            await wait_for_connection(f"http://127.0.0.1:{server.getsockname()[1]}/hub/api")
            duration = time.monotonic() - accepted[0]
            accepting.join()
            return duration


@pytest.mark.asyncio
async def test_dropped_packet_is_repeated_within_a_second() -> None:
    # Linux sends a dropped packet again only after 1 s, so a result below 0.8 s shows that the patch tries more often.
    # Only the best of several attempts counts, because a busy machine can delay an attempt.
    assert min([await measure_connection() for _ in range(ATTEMPTS)]) < 0.8


@pytest.mark.asyncio
async def test_a_refused_connection_is_not_repeated() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        async with asyncio.timeout(1):
            await wait_for_connection(f"http://127.0.0.1:{server.getsockname()[1]}/hub/api")
