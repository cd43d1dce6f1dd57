"""The relay's command: `python -m beatsrelay`, and `--check`, which says whether it could publish."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator

from beatsrelay import check, health as probes, logs
from beatsrelay.metrics import Metrics
from beatsrelay.amqp.publisher import Publisher
from beatsrelay.relay import Relay
from beatsrelay.beats.server import Server
from beatsrelay.settings import Settings, load_or_exit
from beatsrelay.beats.tls import Certificates

logger = logging.getLogger("beatsrelay")


class StartError(Exception):
    """The relay cannot start; the message names the setting and says why."""


@contextlib.contextmanager
def naming(setting: str) -> Iterator[None]:
    """Name the setting that something failed for."""
    try:
        yield
    except OSError as error:
        raise StartError(f"{setting}: {error.strerror or error}") from error


class Service:
    """All the parts, and how they start and end.

    Raises
    ------
    StartError
        A port is taken, or the certificates are of no use.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = asyncio.Event()
        metrics = Metrics()
        with naming("BEATS_TLS_CERT_FILE, BEATS_TLS_KEY_FILE, BEATS_TLS_CA_FILE"):
            self._certificates = Certificates(settings, metrics)
        self._publisher = Publisher(settings, metrics)
        self._relay = Relay(settings, self._publisher, metrics)
        self._server = Server(settings, self._certificates, metrics, self._relay.serve)
        self._health = probes.Health(metrics, self._is_ready)
        with naming(f"BEATS_PORT {settings.beats_port}"):
            beats_port = self._server.listen()
        with naming(f"METRICS_PORT {settings.metrics_port}"):
            metrics_port = probes.serve(settings.metrics_host, settings.metrics_port, self._health, metrics)
        self._ports = {"beats_port": beats_port, "metrics_port": metrics_port}

    async def _until_stopped(self) -> None:
        await self._stopping.wait()

    def _is_ready(self) -> bool:
        return self._publisher.connected.is_set() and not self._stopping.is_set()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, then end without losing an acknowledgement."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self._certificates.reload)
        accepting = loop.create_task(self._server.run())
        others = [
            loop.create_task(part())
            for part in (self._publisher.run, self._relay.keep_alive, self._health.beat, self._certificates.watch)
        ]
        stopping = loop.create_task(self._until_stopped())
        logger.info("listening", extra=self._ports)
        done, _ = await asyncio.wait([stopping, accepting, *others], return_when=asyncio.FIRST_COMPLETED)
        logger.info("leaving")
        accepting.cancel()
        await self._server.drain(self._settings.drain_seconds)
        for part in others:
            part.cancel()
        await asyncio.wait(others)
        for part in done:
            part.result()  # a part that ended by itself has failed


def main() -> None:
    """Run the relay, or check the way to the broker."""
    parser = argparse.ArgumentParser(prog="beatsrelay", description=__doc__)
    parser.add_argument("--check", action="store_true", help="say whether it could publish, and end")
    parser.add_argument(
        "--route",
        type=check.route,
        metavar="EXCHANGE/KEY",
        help="with --check: send a test message there (/QUEUE: to a queue)",
    )
    arguments = parser.parse_args()
    settings = load_or_exit(os.environ)
    logs.set_up(settings.log_level)
    if arguments.check:
        sys.exit(asyncio.run(check.check(settings, arguments.route)))
    # What is alive now stays; what comes and goes with events is no cycle, so looking for cycles can be rare.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        asyncio.run(run(settings))
    except StartError as error:
        sys.exit(f"beatsrelay: {error}")


async def run(settings: Settings) -> None:
    """Make the parts in a loop, and run them."""
    await Service(settings).run()


if __name__ == "__main__":
    main()
