"""Fake servers to which nginx sends requests: an HTTP server that stores them, and a WebSocket server that echoes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from websockets.sync.server import ServerConnection, serve


@dataclass(frozen=True)
class ReceivedRequest:
    """A request that the fake HTTP server has received from nginx. The names of headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Upstream:
    """The state of the fake HTTP server: the requests that it has received, and the answers that it sends.

    Attributes
    ----------
    address
        The server's address, `host:port`.
    asked
        The requests that the server has received so far.
    received
        Number of bytes in the bodies of all requests so far.
    answers
        Status and additional headers of the answer for a path. Answers for other paths have status 200.
    wait
        Seconds between a request and its answer.
    kind
        The Content-Type of all answers.
    body
        The body of all answers.
    """

    address: str = ""
    asked: list[ReceivedRequest] = field(default_factory=list)
    received: int = 0
    answers: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    wait: float = 0
    kind: str = "application/json"
    body: bytes = b'{"from": "upstream"}' * 100


class Handler(BaseHTTPRequestHandler):
    """The handler of all requests to the fake HTTP server. It counts the bytes of a body while they arrive."""

    protocol_version = "HTTP/1.1"
    upstream: Upstream

    def _read(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.upstream.received += len(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left and (piece := self.rfile.read1(left)):
            self.upstream.received += len(piece)
            left -= len(piece)

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.upstream.asked.append(ReceivedRequest(self.command, self.path, headers))
        self._read()
        threading.Event().wait(self.upstream.wait)
        status, more = self.upstream.answers.get(self.path.split("?")[0], (200, {}))
        self.send_response(status)
        for name, value in {"Content-Type": self.upstream.kind, **more}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.upstream.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.upstream.body)

    do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815  (named by http.server)

    def log_message(self, *_: object) -> None:
        """Log nothing. The base class would print each request to standard error."""


class Server(ThreadingHTTPServer):
    """An HTTP server that a test can start on a port immediately after another server has used the port."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512


@contextmanager
def run_upstream(host: str = "127.0.0.1", port: int = 0, body: bytes | None = None) -> Iterator[Upstream]:
    """Run the fake HTTP server until the end of the `with` block, and yield the server's state.

    With port 0 the kernel chooses a free port.
    """
    upstream = Upstream()
    if body is not None:
        upstream.body = body
    handler = type("Handler", (Handler,), {"upstream": upstream})
    with Server((host, port), handler) as server:
        upstream.address = f"{host}:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield upstream
        server.shutdown()


@contextmanager
def run_echo() -> Iterator[str]:
    """Run a WebSocket server that echoes messages, until the end of the `with` block. Yield its address `host:port`."""

    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0, ping_interval=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
