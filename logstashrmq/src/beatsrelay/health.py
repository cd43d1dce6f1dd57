"""Metrics and probes, on one port and in a thread of their own, which answers when the event loop does not."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from beatsrelay.metrics import Metrics

logger = logging.getLogger(__name__)

BEAT_SECONDS = 0.5
# A loop that has not come round for so long will not: one window takes milliseconds.
STUCK_SECONDS = 30


class Health:
    """What the probes ask.

    Attributes
    ----------
    ready
        Tells whether connections may come: the broker was reached once, and we are not leaving.
    """

    def __init__(self, metrics: Metrics, ready: Callable[[], bool]) -> None:
        self._metrics = metrics
        self._beat = time.monotonic()
        self.ready = ready

    @property
    def live(self) -> bool:
        """Whether the event loop comes round. The broker's state is no reason to be restarted."""
        return time.monotonic() - self._beat < STUCK_SECONDS

    async def beat(self) -> None:
        """Show that the loop comes round, for ever."""
        while True:
            start = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)
            self._beat = time.monotonic()
            self._metrics.loop_lag.set(max(0, self._beat - start - BEAT_SECONDS))


def serve(host: str, port: int, health: Health, metrics: Metrics) -> int:
    """Answer /metrics, /live and /ready; give the port.

    Raises
    ------
    OSError
        The port is taken, or not ours.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            status, body = self.answer(self.path.partition("?")[0])
            self.send_response(status)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def answer(self, path: str) -> tuple[int, bytes]:
            """Give a status and a body."""
            if path == "/metrics":
                return 200, generate_latest(metrics.registry)
            probes = {"/live": lambda: health.live, "/ready": health.ready}
            if path not in probes:
                return 404, b"wanted /metrics, /live or /ready\n"
            return (200, b"yes\n") if probes[path]() else (503, b"no\n")

        def log_message(self, *_: object) -> None:
            """Say nothing: a probe comes every few seconds."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True, name="probes").start()
    return int(server.server_address[1])
