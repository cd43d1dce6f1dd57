"""Log lines as JSON, one object each, on standard error.

Their fields are a contract: `testing/contracts/log-event.json`.
"""

from __future__ import annotations

import logging
from typing import Any

from pythonjsonlogger.json import JsonFormatter

SERVICE = "logstashrmq"
# What ECS has a name for; anything else that is added to a line is named `logstashrmq.*`.
NAMES = {
    "levelname": "log.level",
    "name": "log.logger",
    "exc_info": "error.stack_trace",
    "reason": "event.reason",
    "detail": "error.message",
    "peer": "client.address",
}


class Formatter(JsonFormatter):
    """Writes a record as one JSON object on one line."""

    def __init__(self) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(message)s",
            rename_fields=NAMES,
            static_fields={"service.name": SERVICE, "event.dataset": f"{SERVICE}.log"},
            timestamp="@timestamp",
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Give the fields the contract's names and values."""
        log_data["log.level"] = log_data["log.level"].lower()
        return {
            name if "." in name or name in {"@timestamp", "message"} else f"{SERVICE}.{name.lower()}": value
            for name, value in log_data.items()
        }


def set_up(level: str) -> None:
    """Log from here on; pika, which tells each of its steps, only from errors on that we do not report ourselves."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("pika").setLevel(logging.DEBUG if level == "DEBUG" else logging.CRITICAL)
