"""Configuration of the relay's log: JSON lines on standard error."""

from __future__ import annotations

import logging

from beatsrelay.shared.json_logs import ServiceFormatter, configure_root_logger

SERVICE = "logstashrmq"


def configure_logs(level: str) -> None:
    """Write the log records of this process to standard error, if they have at least this level.

    pika logs each step of a connection, and errors that the relay logs too. Its records are shown with `DEBUG` only.
    """
    configure_root_logger(ServiceFormatter(SERVICE), level)
    logging.getLogger("pika").setLevel(logging.DEBUG if level == "DEBUG" else logging.CRITICAL)
