"""The first connection to the hub, while the network drops packets: as Linux does where nobody takes connections."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest
from lsstlab.reach import reach


@pytest.mark.asyncio
async def test_a_packet_that_is_dropped_does_not_cost_its_second() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        with socket.create_connection(server.getsockname()):  # the one that it keeps waiting
            freed: list[float] = []

            def take() -> None:
                freed.append(time.monotonic())
                for _ in range(2):
                    server.accept()[0].close()

            taking = threading.Timer(0.1, take)
            taking.start()
            await reach(f"http://127.0.0.1:{server.getsockname()[1]}/hub/api")
            assert time.monotonic() - freed[0] < 0.8  # Linux sends it again after one
            taking.join()


@pytest.mark.asyncio
async def test_nobody_is_there() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        async with asyncio.timeout(1):
            await reach(f"http://127.0.0.1:{server.getsockname()[1]}/hub/api")
