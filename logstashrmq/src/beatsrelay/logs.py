"""Configuration of the relay's log: JSON lines on standard error."""

from __future__ import annotations

import logging

from beatsrelay.shared.json_logs import ServiceFormatter, configure_root_logger

SERVICE = "logstashrmq"


def configure_logs(level: str) -> None:
    """Send the records of this process to standard error, from `level` on.

    pika logs each step of a connection, and each error that the relay logs itself. So pika's own records need `DEBUG`.
    """
    configure_root_logger(ServiceFormatter(SERVICE), level)
    logging.getLogger("pika").setLevel(logging.DEBUG if level == "DEBUG" else logging.CRITICAL)
