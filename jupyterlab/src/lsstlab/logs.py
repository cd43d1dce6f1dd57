"""The log of a lab: JSON where the hub asks for it (LAB_LOG=json), else plain text for a person at a terminal.

The fields are a contract: `testing/contracts/log-event.json`. Only the lines of the session leave the node:
docs/dev/logs.md gives the reason.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from lsstlab.shared.json_logs import ServiceFormatter

SERVICE = "lab"
SESSION = logging.getLogger("lsstlab.session")
KERNEL_ACTIONS = "https://events.jupyter.org/jupyter_server/kernel_actions/v1"
# The names of the actions that are logged. An interrupt is not.
LOGGED_ACTIONS = {"start": "kernel_start", "shutdown": "kernel_stop", "restart": "kernel_restart"}


class LabFormatter(ServiceFormatter):
    """Formats a record as a JSON object of the lab. Jupyter's applications pass a format and a date format: ignored."""

    def __init__(self, *_: object) -> None:
        super().__init__(SERVICE, f"{SERVICE}.server")


def wants_json(environ: Mapping[str, str]) -> bool:
    """Return whether the hub asks for JSON."""
    return environ.get("LAB_LOG") == "json"


def logging_config() -> dict[str, Any]:
    """Return what Jupyter's applications merge into their own logging configuration."""
    return {
        "formatters": {"console": {"class": f"{__name__}.{LabFormatter.__name__}"}},
        "loggers": {
            "": {"handlers": ["console"], "level": "WARNING"},
            "lsstlab": {"handlers": ["console"], "level": "INFO", "propagate": False},
        },
    }


def write_warning(message: str) -> None:
    """Write a warning to standard error in the lab's format: also before the server configures its logging."""
    if wants_json(os.environ):
        record = logging.makeLogRecord({"name": "lsstlab", "levelname": "WARNING", "msg": message})
        message = LabFormatter().format(record)
    else:
        message = f"lab: {message}"
    sys.stderr.write(f"{message}\n")


def log_session_event(action: str, message: str, **fields: object) -> None:
    """Log an event of the session and its user. Never pass code or output: the line leaves the node."""
    event = {"event.dataset": "lab.session", "event.action": action, "user.name": os.environ.get("USER")} | fields
    SESSION.info(message, extra={name: value for name, value in event.items() if value is not None})


async def log_kernel_action(data: dict[str, Any], **_: object) -> None:
    """Log an action on a kernel: a listener for Jupyter's events."""
    if action := LOGGED_ACTIONS.get(data["action"]):
        outcome = "success" if data.get("status") == "success" else "failure"
        kernel = {"lab.kernel.id": data.get("kernel_id"), "lab.kernel.name": data.get("kernel_name")}
        log_session_event(action, f"kernel {data['action']}: {outcome}", **{"event.outcome": outcome}, **kernel)
