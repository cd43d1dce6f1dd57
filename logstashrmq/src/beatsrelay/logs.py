"""Configuration of the relay's log: JSON lines on standard error."""

from __future__ import annotations

import logging

from beatsrelay.shared.json_logs import ServiceFormatter, configure_root_logger

SERVICE = "logstashrmq"


def configure_logs(level: str) -> None:
    """Configure the log of this process: write records of at least this level to standard error.

    pika's records are shown only at level `DEBUG`: they describe each step of a connection, and errors that the relay
    also logs.
    """
    configure_root_logger(ServiceFormatter(SERVICE), level)
    logging.getLogger("pika").setLevel(logging.DEBUG if level == "DEBUG" else logging.CRITICAL)
