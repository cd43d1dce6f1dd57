"""Log lines as JSON, one object each, on standard error; and a server of HTTP whose errors are such lines, too.

Their fields are a contract: `testing/contracts/log-event.json`.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from typing import Any

logger = logging.getLogger(__name__)

SERVICE = "fileserver"


class JsonLines(logging.Formatter):
    """One line, one object; what a call gives as `extra={"fields": {...}}` stands in it, named `fileserver.*`."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        line = {
            "@timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "log.level": record.levelname.lower(),
            "log.logger": record.name,
            "message": record.getMessage(),
            "service.name": SERVICE,
            "event.dataset": f"{SERVICE}.log",
            **{f"{SERVICE}.{name}": value for name, value in getattr(record, "fields", {}).items()},
        }
        if record.exc_info:
            line["error.stack_trace"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up() -> None:
    """Log so from here on."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class LoggingServer(ThreadingHTTPServer):
    """Says in one line what broke a request off; socketserver prints a traceback of many."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say it: that the other side went away is its own matter, anything else is ours and has its trace."""
        error = sys.exception()
        gone = isinstance(error, ConnectionError)
        level, fields = logging.WARNING if gone else logging.ERROR, {"asked_by": client_address[0]}
        logger.log(level, "a request broke off: %r", error, exc_info=not gone, extra={"fields": fields})
