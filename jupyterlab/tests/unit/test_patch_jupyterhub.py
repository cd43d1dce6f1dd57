"""Tests of the first connection to the hub while a server with a full backlog drops packets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from lsstlab._patches.jupyterhub import wait_for_connection

ATTEMPTS = 5


async def measure_connection() -> float:
    """Return the seconds from the moment when a server with a full backlog accepts until the client is connected."""
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
    # Linux repeats a dropped packet after 1 s. On a busy machine one attempt may take longer for another reason.
    assert min([await measure_connection() for _ in range(ATTEMPTS)]) < 0.8


@pytest.mark.asyncio
async def test_a_refused_connection_is_not_repeated() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        async with asyncio.timeout(1):
            await wait_for_connection(f"http://127.0.0.1:{server.getsockname()[1]}/hub/api")
