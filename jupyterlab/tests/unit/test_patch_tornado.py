"""A test that a WebSocket of a real Tornado server has the socket option TCP_NODELAY only with the patch."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from lsstlab._patches.tornado import keep_nodelay
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect


class Handler(WebSocketHandler):
    """A WebSocket handler that answers each message with the value of its socket's TCP_NODELAY option."""

    def on_message(self, message: str | bytes) -> None:
        assert self.ws_connection is not None
        assert self.ws_connection.stream is not None
        connection = self.ws_connection.stream.socket
        self.write_message(str(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))


@pytest.fixture
def stock_tornado() -> Iterator[None]:
    """Remove the patch from Tornado after the test, by restoring Tornado's own method."""
    original = IOStream.set_nodelay
    yield
    IOStream.set_nodelay = original  # type: ignore[method-assign]


async def ask_for_nodelay() -> str | bytes | None:
    listener, port = bind_unused_port()
    server = HTTPServer(Application([("/", Handler)]))
    server.add_socket(listener)
    client = await websocket_connect(f"ws://127.0.0.1:{port}/")
    try:
        await client.write_message("is it on?")
        return await client.read_message()
    finally:
        client.close()
        server.stop()


@pytest.mark.asyncio
@pytest.mark.usefixtures("stock_tornado")
async def test_a_websocket_keeps_nodelay() -> None:
    # If this first assertion fails, Tornado itself keeps the option, and you can remove the patch.
    assert await ask_for_nodelay() == "0"
    keep_nodelay()
    assert await ask_for_nodelay() == "1"
