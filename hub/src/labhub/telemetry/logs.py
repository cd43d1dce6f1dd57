"""JSON log lines of the hub, without the OAuth secrets in URLs and messages."""

from __future__ import annotations

import logging
import re
from typing import Any

from labhub.shared.json_logs import ServiceFormatter

# Secrets in the query string of a URL. tornado logs the URL of each failed request. So the log of a refused login would
# contain `code` and `state`. In a URL inside another URL, the equals sign is encoded as %3D or %253D.
URL_SECRET = re.compile(
    r"((?:code|state|token|code_verifier|client_secret|_xsrf)(?:=|%(?:25)*3D))((?:(?!%(?:25)*26)[^&\s\"'\\)<>,])*)",
    re.IGNORECASE,
)
# Secrets outside URLs: OAuth states in messages of oauthenticator, and session ids in a message of JupyterHub
STATE_SECRET = re.compile(r"(OAuth state mismatch|Failed to (?:b64|json)-decode state):[^\"]*")
SESSION_SECRET = re.compile(r"(Setting new xsrf cookie for) b'[^']*'")


def remove_secrets(text: str) -> str:
    """Return a log line with a placeholder instead of each OAuth secret and session id."""
    return SESSION_SECRET.sub(r"\1 [secret]", STATE_SECRET.sub(r"\1", URL_SECRET.sub(r"\1[secret]", text)))


class HubFormatter(ServiceFormatter):
    """Formatter for log records of the hub, of JupyterHub and of their libraries."""

    def __init__(self, *_: object) -> None:
        super().__init__("hub")

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one JSON object without secrets."""
        return remove_secrets(super().format(record))


def logging_config() -> dict[str, Any]:
    """Return the logging configuration that JupyterHub merges into its own."""
    return {
        "formatters": {"console": {"class": "labhub.telemetry.logs.HubFormatter"}},
        "loggers": {
            "": {"handlers": ["console"], "level": "WARNING"},
            "labhub": {"handlers": ["console"], "level": "INFO", "propagate": False},
        },
    }
