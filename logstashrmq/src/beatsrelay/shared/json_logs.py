"""The format of log lines: one JSON object per line, with the fields of `testing/contracts/log-event.json`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from pythonjsonlogger.json import JsonFormatter

# Names of fields that stay unchanged. Other names without a dot get the service's name as a prefix, for example `hub.`.
COMMON_FIELDS = {"@timestamp", "message"}


class ServiceFormatter(JsonFormatter):
    """A formatter that writes each log record as one JSON object with fields of the Elastic Common Schema (ECS).

    Parameters
    ----------
    service
        Name of the component. It is the value of `service.name`, and the prefix of fields without an ECS name.
    dataset
        Value of `event.dataset`, which identifies the log. The default is `<service>.log`.
    field_names
        ECS names for attributes that log calls pass as `extra`.
    """

    def __init__(self, service: str, dataset: str = "", field_names: Mapping[str, str] | None = None) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(message)s",
            rename_fields={
                "levelname": "log.level",
                "name": "log.logger",
                "exc_info": "error.stack_trace",
                **(field_names or {}),
            },
            static_fields={"service.name": service, "event.dataset": dataset or f"{service}.log"},
            timestamp="@timestamp",
        )
        self.service = service

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of a log record with the names and values that the contract requires."""
        log_data["log.level"] = log_data["log.level"].lower()
        return {self._field_name(name): value for name, value in log_data.items()}

    def _field_name(self, name: str) -> str:
        return name if "." in name or name in COMMON_FIELDS else f"{self.service}.{name.lower()}"


def configure_root_logger(formatter: logging.Formatter, level: str | int = logging.INFO) -> None:
    """Configure logging so that all log records of this process are written to standard error with this formatter."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
