"""An HTTP server that answers requests for metrics and probes.

The server runs in its own thread, so it can answer while the event loop of the process is busy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import ClassVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from .logging_server import LoggingHTTPServer

METRICS_PATH = "/metrics"
TEXT = "text/plain; charset=utf-8"
# Seconds after which the server closes a connection on which the client has sent no request
CLIENT_SECONDS = 5


class ProbeHandler(BaseHTTPRequestHandler):
    """The handler of requests for `/metrics` and for probes. `serve` creates a subclass of it for each server."""

    registry: ClassVar[CollectorRegistry]
    probes: ClassVar[Mapping[str, Callable[[], bool]]]
    timeout = CLIENT_SECONDS

    def do_GET(self) -> None:
        """Answer a request for metrics or for a probe. Answer 404 for another path."""
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
        """Log nothing, because kubelet sends a probe every few seconds."""


def serve(
    host: str, port: int, registry: CollectorRegistry, probes: Mapping[str, Callable[[], bool]]
) -> LoggingHTTPServer:
    """Start a server for metrics and probes in a daemon thread, and return the server.

    Parameters
    ----------
    host
        Address on which the server listens.
    port
        Port on which the server listens. With 0, the operating system chooses a free port, which `server_address` of
        the returned server contains.
    registry
        The metrics that `/metrics` returns.
    probes
        For each path of a probe, for example `/ready`, a function that returns whether the probe succeeds. The server
        answers with status 200 if the function returns True, and with status 503 if it returns False.

    Raises
    ------
    OSError
        Raised if the server cannot listen on the address, for example because the port is in use.
    """
    handler = type("Handler", (ProbeHandler,), {"registry": registry, "probes": dict(probes)})
    server = LoggingHTTPServer((host, port), handler)
    threading.Thread(target=server.serve_forever, daemon=True, name="probes").start()
    return server
