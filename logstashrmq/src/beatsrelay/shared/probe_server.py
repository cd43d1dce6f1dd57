"""An HTTP server for metrics and probes. It runs in its own thread, so it answers while the event loop is busy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from .logging_server import LoggingHTTPServer

METRICS_PATH = "/metrics"
TEXT = "text/plain; charset=utf-8"
# Seconds until a client that sends no request is disconnected
CLIENT_SECONDS = 5


class ProbeHandler(BaseHTTPRequestHandler):
    """The handler of requests for `/metrics` and the probes of one server."""

    registry: ClassVar[CollectorRegistry]
    probes: ClassVar[Mapping[str, Callable[[], bool]]]
    timeout = CLIENT_SECONDS

    def do_GET(self) -> None:
        """Answer a request for the metrics or a probe."""
        status, content_type, body = self._answer(self.path.partition("?")[0])
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        if path == METRICS_PATH:
            return 200, CONTENT_TYPE_LATEST, generate_latest(self.registry)
        if path in self.probes:
            return (200, TEXT, b"yes\n") if self.probes[path]() else (503, TEXT, b"no\n")
        known = ", ".join([METRICS_PATH, *self.probes])
        return 404, TEXT, f"found {path[:100]!r}, wanted one of {known}\n".encode()

    def log_message(self, *_: object) -> None:
        """Log nothing: a probe arrives every few seconds."""


def serve(
    host: str, port: int, registry: CollectorRegistry, probes: Mapping[str, Callable[[], bool]]
) -> LoggingHTTPServer:
    """Start a server in a daemon thread and return it.

    Parameters
    ----------
    host, port
        Address to listen on. With port 0 the kernel chooses a free port, see `server_address` of the returned server.
    registry
        Metrics that `/metrics` returns.
    probes
        Path of each probe, for example `/ready`, and a function that returns True for status 200 or False for 503.

    Raises
    ------
    OSError
        Raised if the address cannot be bound.
    """
    handler = type("Handler", (ProbeHandler,), {"registry": registry, "probes": dict(probes)})
    server = LoggingHTTPServer((host, port), handler)
    threading.Thread(target=server.serve_forever, daemon=True, name="probes").start()
    return server
