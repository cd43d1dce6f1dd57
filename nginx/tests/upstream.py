"""A server behind nginx that keeps what it is asked, says when bytes arrive, and speaks WebSocket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from websockets.sync.server import ServerConnection, serve


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Upstream:
    """What the server at `address` (`host:port`) saw.

    Attributes
    ----------
    received
        Bytes of bodies so far.
    answers
        Status and headers for a path, if not 200.
    wait
        Seconds from a request to its answer.
    """

    address: str = ""
    asked: list[Asked] = field(default_factory=list)
    received: int = 0
    answers: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    wait: float = 0
    body: bytes = b'{"from": "upstream"}' * 100


class Handler(BaseHTTPRequestHandler):
    """Answers everything with JSON; a body in chunks or of a known length is read as it comes."""

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
        self.upstream.asked.append(Asked(self.command, self.path, headers))
        self._read()
        threading.Event().wait(self.upstream.wait)
        status, more = self.upstream.answers.get(self.path.split("?")[0], (200, {}))
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **more}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(self.upstream.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.upstream.body)

    do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815  (named by http.server)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Lets a port go at once, so that the next server can have it."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 512


@contextmanager
def run_upstream(host: str = "127.0.0.1", port: int = 0, body: bytes | None = None) -> Iterator[Upstream]:
    """Answer until the end of the block."""
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
    """Give back what comes through a WebSocket, until the end of the block; gives `host:port`."""

    def echo(connection: ServerConnection) -> None:
        for message in connection:
            connection.send(message)

    with serve(echo, "127.0.0.1", 0, ping_interval=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
