"""The program: `python -m labfiles`. The environment has its settings."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from types import FrameType

from labfiles import api, logs, metrics
from labfiles.folders import Folders
from labfiles.settings import Settings, load_or_exit, read_token
from labfiles.storage import StorageError, prepare
from labfiles.usage import Scanner

logger = logging.getLogger("labfiles")


def main() -> None:
    """Run until SIGTERM or SIGINT; a start that fails ends with one line."""
    settings = load_or_exit(os.environ)
    logs.set_up()
    try:
        run(settings)
    except (StorageError, OSError) as error:
        sys.exit(f"labfiles: {error}")


def run(settings: Settings) -> None:
    """Make the parts, and run them.

    Raises
    ------
    StorageError, OSError
        The storage will not do; a port is taken.
    """
    # Of what both containers of the pod need, whoever comes first makes it.
    storage = prepare(settings.storage)
    scanner = Scanner(storage, settings.usage_seconds, settings.usage_rate)
    folders = Folders(storage)
    server = api.serve(settings.host, settings.port, folders, lambda: read_token(settings.token_file))
    registry = metrics.make_registry(storage, scanner, settings.nfs_port if settings.nfs else None)
    watched = metrics.serve(settings.host, settings.metrics_port, registry, lambda: not stopping.is_set())
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()
        # Not from here: it waits for the loop that this handler has interrupted.
        threading.Thread(target=server.shutdown).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    scanner.start()
    ports = {"api_port": server.server_address[1], "metrics_port": watched.server_address[1]}
    logger.info("listening", extra={"fields": ports})
    server.serve_forever(poll_interval=0.1)
    scanner.stop()
    logger.info("ended")


if __name__ == "__main__":
    main()
