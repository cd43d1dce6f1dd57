"""The HTTP server of the simulated GitHub, with a thread for each connection."""

from __future__ import annotations

import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from labtesting.github import api, oauth
from labtesting.github.messages import Request, Response
from labtesting.github.page import error_page
from labtesting.github.world import App, Trouble, World

HANG_POLL = 0.05
AUTHORIZE = "/login/oauth/authorize"
TOKEN = "/login/oauth/access_token"  # noqa: S105


class ConcurrencyCounter:
    """A counter of the threads that run inside `with` blocks of this object at the same time.

    Attributes
    ----------
    maximum
        The highest number of threads so far.
    """

    def __init__(self) -> None:
        self.maximum = self._now = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.maximum = max(self.maximum, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


class FakeGitHub(ThreadingHTTPServer):
    """The HTTP server of a simulated GitHub. It listens as soon as it is created.

    Parameters
    ----------
    world
        The accounts, organizations and faults of the server. A test may change them at any time.
    port
        Port to listen on; 0 means a free port.
    host
        Address to listen on.
    tls
        Context for https. None means http.

    Attributes
    ----------
    requests
        Method and path of each request so far.
    exchanging
        A counter of the token requests that are answered at the same time.
    """

    daemon_threads = True
    request_queue_size = 1024  # With Python's default of 5, many logins at once fail.

    def __init__(self, world: World, port: int = 0, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        super().__init__((host, port), Handler)
        self.world = world
        self.scheme = "https" if tls else "http"
        self.url = f"{self.scheme}://{host}:{self.server_port}"
        if tls:
            # Do the TLS handshake in the connection's thread. In the thread that accepts connections, a client that
            # sends no handshake would block all other clients.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.requests: list[str] = []
        self.closing = threading.Event()
        self.exchanging = ConcurrencyCounter()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a client that closed the connection, and print other errors."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def answer(self, request: Request) -> Response | None:
        """Return the response to a request, or None to close the connection without a response."""
        self.requests.append(f"{request.method} {request.path}")
        trouble = self.world.trouble
        if trouble and request.path.startswith(trouble.path):
            return self.trouble_answer(trouble)
        with self.exchanging if request.path == TOKEN else nullcontext():
            time.sleep(self.world.pause)
        if request.path == AUTHORIZE and request.method in {"GET", "POST"}:
            return oauth.authorize(self.world, request)
        if request.path == TOKEN and request.method == "POST":
            return oauth.exchange(self.world, request)
        if request.path.startswith(f"{api.API}/"):
            response = api.answer(self.world, request)
            suspended = response.status == 403 and "suspended" in str(response.body)
            response.headers.update({} if suspended else {"X-RateLimit-Remaining": "4999"})
            return response
        return Response(404, error_page(f"The simulated GitHub has no page {request.path}."))

    def trouble_answer(self, trouble: Trouble) -> Response | None:
        """Return the response that the fault causes, or None to close the connection without a response."""
        match trouble.kind:
            case "limited":
                headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4102444800"}
                return Response(403, {"message": "API rate limit exceeded"}, headers)
            case "secondary":
                return Response(429, {"message": "You have exceeded a secondary rate limit."}, {"Retry-After": "60"})
            case "malformed":
                return Response(200, "<title>Unicorn!</title>")
            case "half":
                return Response(200, {"login": None})
            case "hangup":
                return None
            case "hang":
                while self.world.trouble is trouble and not self.closing.wait(HANG_POLL):
                    pass
                return None
        return Response(502, "<title>Bad Gateway</title>")


class Handler(BaseHTTPRequestHandler):
    """The request handler. It converts a request of `http.server` to a `Request`, and sends the `Response`."""

    server: FakeGitHub
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        base = f"{self.server.scheme}://{self.headers['Host']}" if self.headers["Host"] else self.server.url
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body, base)
        response = self.server.answer(request)
        if response is None:
            self.close_connection = True
            return
        content = response.encode()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status != 204:
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815  (named by http.server)

    def log_message(self, *_: Any) -> None:
        """Log nothing: `FakeGitHub.requests` records each request."""


@contextmanager
def run_fake_github(
    callback: str,
    client_id: str = "labhub-test",
    client_secret: str = "made-up-client-secret",  # noqa: S107
    **options: Any,
) -> Iterator[FakeGitHub]:
    """Run a simulated GitHub without accounts until the end of the block.

    Parameters
    ----------
    callback, client_id, client_secret
        Registration of the OAuth app.
    options
        Further arguments of `FakeGitHub`.
    """
    server = FakeGitHub(World(App(client_id, client_secret, callback)), **options)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
