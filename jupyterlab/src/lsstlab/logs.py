"""The log of a lab: JSON lines if the hub sets LAB_LOG=json, else plain text.

`testing/contracts/log-event.json` defines the fields of a JSON line. By default, filebeat ships only the session events
of labs. docs/dev/logs.md gives the reason.
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
# For each action of Jupyter's kernel events that the lab logs, the name of the action in the log. Interrupts are not
# logged.
LOGGED_ACTIONS = {"start": "kernel_start", "shutdown": "kernel_stop", "restart": "kernel_restart"}


class LabFormatter(ServiceFormatter):
    """A formatter that writes the lab's log records as JSON.

    The constructor ignores the format and the date format, which Jupyter's applications pass to each formatter.
    """

    def __init__(self, *_: object) -> None:
        super().__init__(SERVICE, f"{SERVICE}.server")


def wants_json(environ: Mapping[str, str]) -> bool:
    """Return whether the environment variable LAB_LOG, which the hub sets, requests JSON lines."""
    return environ.get("LAB_LOG") == "json"


def logging_config() -> dict[str, Any]:
    """Return the logging configuration for JSON lines. Jupyter's applications add it to their own configuration."""
    return {
        "formatters": {"console": {"class": f"{__name__}.{LabFormatter.__name__}"}},
        "loggers": {
            "": {"handlers": ["console"], "level": "WARNING"},
            "lsstlab": {"handlers": ["console"], "level": "INFO", "propagate": False},
        },
    }


def write_warning(message: str, error: BaseException | None = None) -> None:
    """Write a warning to standard error in the lab's format, even before the server has configured logging."""
    record = logging.makeLogRecord({"name": "lsstlab", "levelname": "WARNING", "msg": message})
    if error:
        record.exc_info = (type(error), error, error.__traceback__)
    formatter = LabFormatter() if wants_json(os.environ) else logging.Formatter("lab: %(message)s")
    sys.stderr.write(f"{formatter.format(record)}\n")


def log_session_event(action: str, message: str, **fields: object) -> None:
    """Log an event of the lab's session, with the user name.

    filebeat ships these lines to the relay, so never pass a user's code or output.
    """
    event = {"event.dataset": "lab.session", "event.action": action, "user.name": os.environ.get("USER")} | fields
    SESSION.info(message, extra={name: value for name, value in event.items() if value is not None})


async def log_kernel_action(data: dict[str, Any], **_: object) -> None:
    """Log that a kernel was started, stopped or restarted. Jupyter's event logger calls this function."""
    if action := LOGGED_ACTIONS.get(data["action"]):
        outcome = "success" if data.get("status") == "success" else "failure"
        kernel = {"lab.kernel.id": data.get("kernel_id"), "lab.kernel.name": data.get("kernel_name")}
        log_session_event(action, f"kernel {data['action']}: {outcome}", **{"event.outcome": outcome}, **kernel)
