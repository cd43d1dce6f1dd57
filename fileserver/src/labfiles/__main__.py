"""The program `python -m labfiles`, which creates folders and measures their usage.

Its settings are environment variables.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from types import FrameType

from labfiles import api, metrics
from labfiles.folders import FolderService
from labfiles.settings import Settings, load_or_exit, read_token
from labfiles.shared.json_logs import ServiceFormatter, configure_root_logger
from labfiles.storage import StorageError, prepare_storage
from labfiles.usage import Scanner

logger = logging.getLogger("labfiles")
SERVICE = "fileserver"


def main() -> None:
    """Run labfiles until SIGTERM or SIGINT. If the start fails, print the error in one line and exit."""
    settings = load_or_exit(os.environ)
    configure_root_logger(ServiceFormatter(SERVICE))
    try:
        run(settings)
    except (StorageError, OSError) as error:
        sys.exit(f"labfiles: {error}")


def run(settings: Settings) -> None:
    """Create the API, the scanner and the metrics, and run them until SIGTERM or SIGINT.

    Raises
    ------
    StorageError
        Raised if the storage cannot be used.
    OSError
        Raised if a port is taken.
    """
    # Both containers of the pod need the folders of the storage. The container that starts first creates the folders.
    storage = prepare_storage(settings.storage)
    scanner = Scanner(storage, settings.usage_seconds, settings.usage_rate)
    folders = FolderService(storage)
    server = api.create_server(settings.host, settings.port, folders, lambda: read_token(settings.token_file))
    registry = metrics.create_registry(storage, scanner, settings.nfs_port if settings.nfs else None)
    stopping = threading.Event()
    probes = metrics.serve(settings.host, settings.metrics_port, registry, lambda: not stopping.is_set())

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()
        # `shutdown` waits for the end of `serve_forever`, which this signal handler interrupts. In this thread it would
        # wait forever.
        threading.Thread(target=server.shutdown).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    scanner.start()
    ports = {"api_port": server.server_address[1], "metrics_port": probes.server_address[1]}
    logger.info("listening", extra=ports)
    server.serve_forever(poll_interval=0.1)
    scanner.stop()
    logger.info("stopped")


if __name__ == "__main__":
    main()
