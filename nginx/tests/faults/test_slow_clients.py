"""Tests of uploads over a slow network, and of downloads that a user pauses. Each test takes more than a minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from labtesting.hub_process import wait_until
from labtesting.proxy_process import run_proxy

from nginx.tests.conftest import RunEdge
from nginx.tests.upstream import run_upstream
from tools.parts import PROXY, prepare

# The tests exceed the default limits, which the project raises. By default, Node.js (the proxy) ends an upload after
# 300 to 330 s. By default, nginx ends a download when the client has read nothing for 60 s.
UPLOAD_SECONDS, PAUSE_SECONDS = 340, 75


def wait_seconds(seconds: float) -> None:
    """Wait for this number of seconds. The slow upload and the paused download need fixed times."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > end, "the time has passed", seconds + 60)


def test_upload_can_take_longer_than_five_minutes(run: RunEdge, tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(UPLOAD_SECONDS // 5):
            yield b"x" * 1000
            wait_seconds(5)

    with (
        run_upstream() as lab,
        run_proxy(prepare(PROXY) / PROXY.name, lab.address) as proxy,
        run(tmp_path / "nginx", proxy.address) as edge,
        edge.client() as client,
    ):
        assert client.put("/user/vera/api/contents/notebook", content=pieces()).status_code == 200
        assert lab.received == UPLOAD_SECONDS // 5 * 1000


def test_download_can_pause_longer_than_a_minute(run: RunEdge, tmp_path: Path) -> None:
    size = 100_000_000  # more than the buffers of all sockets can contain, so the download stops during the pause
    with (
        run_upstream(body=bytes(size)) as lab,
        run_proxy(prepare(PROXY) / PROXY.name, lab.address) as proxy,
        run(tmp_path / "nginx", proxy.address) as edge,
        edge.client() as client,
        client.stream("GET", "/user/vera/files/big") as answer,
    ):
        pieces = answer.iter_bytes(1_000_000)
        received = len(next(pieces))
        wait_seconds(PAUSE_SECONDS)
        assert received + sum(len(piece) for piece in pieces) == size
