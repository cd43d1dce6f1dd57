"""An HTTP server that answers each connection in a thread, and logs failed requests with the module `logging`."""

from __future__ import annotations

import logging
import sys
from http.server import ThreadingHTTPServer
from typing import Any

_log = logging.getLogger(__name__)


class LoggingHTTPServer(ThreadingHTTPServer):
    """An HTTP server that logs failed requests. The base class would print tracebacks to standard error instead."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the exception that ended a request.

        If the client has closed the connection, log a warning. Otherwise log an error with the traceback.
        """
        error = sys.exception()
        client_left = isinstance(error, ConnectionError)
        _log.log(
            logging.WARNING if client_left else logging.ERROR,
            "a request failed: %r",
            error,
            exc_info=not client_left,
            extra={"client.address": client_address[0]},
        )
