"""A threading HTTP server that logs failed requests through `logging`."""

from __future__ import annotations

import logging
import sys
from http.server import ThreadingHTTPServer
from typing import Any

_log = logging.getLogger(__name__)


class LoggingHTTPServer(ThreadingHTTPServer):
    """An HTTP server that logs failed requests. The base class prints their tracebacks to standard error."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the exception: a warning if the client closed the connection, else an error with its traceback."""
        error = sys.exception()
        client_left = isinstance(error, ConnectionError)
        _log.log(
            logging.WARNING if client_left else logging.ERROR,
            "a request failed: %r",
            error,
            exc_info=not client_left,
            extra={"client.address": client_address[0]},
        )
