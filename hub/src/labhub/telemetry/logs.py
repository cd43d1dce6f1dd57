"""Log lines of the whole hub process as JSON, with secrets taken out of URLs.

Their fields are a contract: `testing/contracts/log-event.json`.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from pythonjsonlogger.json import JsonFormatter

# tornado logs a failed request with its whole URL and oauthenticator a state that does not match, so a refused
# login would leave `code` and `state` in the log; a URL inside a URL has %3D for =, and even %253D.
SECRET = re.compile(
    r"((?:code|state|token|code_verifier|client_secret|_xsrf)(?:=|%(?:25)*3D))((?:(?!%(?:25)*26)[^&\s\"'\\)<>,])*)",
    re.IGNORECASE,
)
# What is logged in other words than a URL's: by oauthenticator, and by JupyterHub with the id of a session
QUOTED = re.compile(r"(OAuth state mismatch|Failed to (?:b64|json)-decode state):[^\"]*")
SESSION = re.compile(r"(Setting new xsrf cookie for) b'[^']*'")


def scrub(text: str) -> str:
    """Take the values of OAuth's secrets out of a line."""
    return SESSION.sub(r"\1 [secret]", QUOTED.sub(r"\1", SECRET.sub(r"\1[secret]", text)))


SERVICE = "hub"


class Formatter(JsonFormatter):
    """Writes a record as one JSON object on one line; what was added to it without a name of ECS is named `hub.*`."""

    def __init__(self, *_: object) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(message)s",
            rename_fields={"levelname": "log.level", "name": "log.logger", "exc_info": "error.stack_trace"},
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

    def format(self, record: logging.LogRecord) -> str:
        """Format and scrub."""
        return scrub(super().format(record))


def logging_config() -> dict[str, Any]:
    """Give what JupyterHub merges into its own logging configuration."""
    return {
        "formatters": {"console": {"class": "labhub.telemetry.logs.Formatter"}},
        "loggers": {
            "": {"handlers": ["console"], "level": "WARNING"},
            "labhub": {"handlers": ["console"], "level": "INFO", "propagate": False},
        },
    }
