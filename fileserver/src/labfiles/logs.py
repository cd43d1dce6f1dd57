"""Log lines as JSON, one object each, on standard error.

Their fields are a contract: `testing/contracts/log-event.json`.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

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
