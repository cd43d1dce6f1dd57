"""Log lines as JSON, one object each, on standard error."""

from __future__ import annotations

import logging

from pythonjsonlogger.json import JsonFormatter


def set_up(level: str) -> None:
    """Log from here on; pika, which tells each of its steps, only from errors on that we do not report ourselves."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(
            "%(levelname)s %(name)s %(message)s",
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("pika").setLevel(logging.DEBUG if level == "DEBUG" else logging.CRITICAL)
