"""The service: it creates all parts of the relay, runs them, and shuts them down without losing an acknowledgement."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Iterator

from beatsrelay.amqp.publisher import Publisher
from beatsrelay.beats.server import Server
from beatsrelay.beats.tls import Certificates
from beatsrelay.health import Health
from beatsrelay.metrics import Metrics
from beatsrelay.relay import Relay
from beatsrelay.settings import Settings
from beatsrelay.shared import probe_server

logger = logging.getLogger(__name__)


class StartError(Exception):
    """An error that prevents the start of the relay. The message names the setting and the reason."""


@contextlib.contextmanager
def convert_os_error(setting: str) -> Iterator[None]:
    """Convert an OSError in the block into a StartError that names this setting."""
    try:
        yield
    except OSError as error:
        raise StartError(f"{setting}: {error.strerror or error}") from error


class Service:
    """The running relay with all its parts. Create an instance inside a running event loop.

    Raises
    ------
    StartError
        Raised if a port cannot be opened, or the certificates cannot be loaded.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = asyncio.Event()
        self._metrics = Metrics()
        with convert_os_error("BEATS_TLS_CERT_FILE, BEATS_TLS_KEY_FILE, BEATS_TLS_CA_FILE"):
            self._certificates = Certificates(settings, self._metrics)
        self._publisher = Publisher(settings, self._metrics)
        self._relay = Relay(settings, self._publisher, self._metrics)
        self._server = Server(settings, self._certificates, self._metrics, self._relay.serve)
        self._health = Health(self._metrics, self._is_ready)
        with convert_os_error(f"BEATS_PORT {settings.beats_port}"):
            beats_port = self._server.listen()
        with convert_os_error(f"METRICS_PORT {settings.metrics_port}"):
            metrics_port = self._serve_probes()
        self._ports = {"beats_port": beats_port, "metrics_port": metrics_port}

    def _is_ready(self) -> bool:
        return self._publisher.connected.is_set() and not self._stopping.is_set()

    def _serve_probes(self) -> int:
        probes = {"/live": self._health.is_live, "/ready": self._health.is_ready}
        host, port = self._settings.metrics_host, self._settings.metrics_port
        return int(probe_server.serve(host, port, self._metrics.registry, probes).server_address[1])

    async def run(self) -> None:
        """Run the relay until SIGTERM or SIGINT.

        Then wait up to `RELAY_DRAIN_SECONDS` until open windows are acknowledged.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._certificates.reload)
        accepting = loop.create_task(self._server.run())
        parts = (
            self._publisher.run,
            self._relay.send_keepalives,
            self._health.monitor_event_loop,
            self._certificates.watch_files,
        )
        background = [loop.create_task(part()) for part in parts]
        stopping = loop.create_task(self._wait_for_stop())
        logger.info("listening", extra=self._ports)
        done, _ = await asyncio.wait([stopping, accepting, *background], return_when=asyncio.FIRST_COMPLETED)
        logger.info("shutting down")
        accepting.cancel()
        await self._server.drain(self._settings.drain_seconds)
        for task in background:
            task.cancel()
        await asyncio.wait(background)
        for task in done:
            task.result()  # result() raises the error of a part that failed

    async def _wait_for_stop(self) -> None:
        await self._stopping.wait()


async def run_service(settings: Settings) -> None:
    """Create the service in the running event loop, and run it.

    Raises
    ------
    StartError
        Raised if a port cannot be opened, or the certificates cannot be loaded.
    """
    await Service(settings).run()
