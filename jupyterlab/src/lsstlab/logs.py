"""What a lab says of itself: as JSON where the hub asks for it (LAB_LOG=json), plain for a person at a terminal.

The fields are a contract: `testing/contracts/log-event.json`. Of a lab's lines only those of its session leave the
node: docs/dev/logs.md says why.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

from pythonjsonlogger.json import JsonFormatter

SERVICE = "lab"
SESSION = logging.getLogger("lsstlab.session")
KERNEL_ACTIONS = "https://events.jupyter.org/jupyter_server/kernel_actions/v1"
# Of what Jupyter tells of its kernels; interrupting one says nothing that anybody has to keep.
TOLD = {"start": "kernel_start", "shutdown": "kernel_stop", "restart": "kernel_restart"}


class Formatter(JsonFormatter):
    """Writes a record as one JSON object on one line."""

    def __init__(self, *_: object) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(message)s",
            rename_fields={"levelname": "log.level", "name": "log.logger", "exc_info": "error.stack_trace"},
            static_fields={"service.name": SERVICE, "event.dataset": f"{SERVICE}.server"},
            timestamp="@timestamp",
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Give the fields the contract's names and values."""
        log_data["log.level"] = log_data["log.level"].lower()
        return {
            name if "." in name or name in {"@timestamp", "message"} else f"{SERVICE}.{name.lower()}": value
            for name, value in log_data.items()
        }


def wants_json(environ: Mapping[str, str]) -> bool:
    """Tell whether the hub asks for JSON."""
    return environ.get("LAB_LOG") == "json"


def logging_config() -> dict[str, Any]:
    """Give what Jupyter's applications merge into their own logging configuration."""
    return {
        "formatters": {"console": {"class": "lsstlab.logs.Formatter"}},
        "loggers": {
            "": {"handlers": ["console"], "level": "WARNING"},
            "lsstlab": {"handlers": ["console"], "level": "INFO", "propagate": False},
        },
    }


def speak_json() -> None:
    """Have Jupyter's applications log JSON from their first line on, which they write before they read their files."""
    from jupyter_server.extension.application import ExtensionApp  # which `lab COMMAND` need not load
    from jupyter_server.serverapp import ServerApp

    for application in (ExtensionApp, ServerApp):
        application._log_formatter_cls = Formatter  # type: ignore[assignment]


def warn(message: str) -> None:
    """Say something before the server runs, whose logging is not yet set up."""
    if wants_json(os.environ):
        message = Formatter().format(logging.makeLogRecord({"name": "lsstlab", "levelname": "WARNING", "msg": message}))
    else:
        message = f"lab: {message}"
    sys.stderr.write(f"{message}\n")


def tell(action: str, message: str, **more: object) -> None:
    """Tell of the session, and whose it is: never of what they wrote or what came out."""
    who = {"event.dataset": "lab.session", "event.action": action, "user.name": os.environ.get("USER")}
    SESSION.info(message, extra={name: value for name, value in (who | more).items() if value is not None})


async def tell_of_kernel(data: dict[str, Any], **_: object) -> None:
    """Take what Jupyter tells of a kernel."""
    if action := TOLD.get(data["action"]):
        outcome = "success" if data.get("status") == "success" else "failure"
        kernel = {"lab.kernel.id": data.get("kernel_id"), "lab.kernel.name": data.get("kernel_name")}
        tell(action, f"kernel {data['action']}: {outcome}", **{"event.outcome": outcome}, **kernel)
