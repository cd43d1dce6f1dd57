"""A notice to the user of a lab, and its texts for the page and for terminals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

IDLE_TEXT = "This lab has been idle for {idle}. It stops at {{time}} unless you use it."
AGE_TEXT = "This lab stops at {{time}}, whatever runs in it: none runs for more than {age}. Save your work."


@dataclass(frozen=True)
class Notice:
    """A message to the user.

    Attributes
    ----------
    id
        Stays the same as long as the message means the same.
    level
        `warning` or `error`: how JupyterLab shows it.
    text
        `{time}` marks the place of the time, which each reader sees in their own time zone.
    time
        When the lab stops.
    use_helps
        The notice ends when the user uses the lab.
    """

    id: str
    level: str
    text: str
    time: datetime | None = None
    use_helps: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the notice with values that JSON has."""
        return asdict(self) | {"time": self.time.isoformat() if self.time else None}

    def to_terminal_line(self) -> str:
        """Return the notice as one line for a terminal, with the time in the lab's time zone."""
        return self.text.replace("{time}", f"{self.time.astimezone():%H:%M %Z}" if self.time else "")


def create_idle_warning(idle: str, end: datetime) -> Notice:
    """Return the warning for a lab that the hub stops because it is idle."""
    return _create_warning("idle", IDLE_TEXT.format(idle=idle), end, use_helps=True)


def create_age_warning(age: str, end: datetime) -> Notice:
    """Return the warning for a lab that the hub stops because of its age."""
    return _create_warning("age", AGE_TEXT.format(age=age), end)


def _create_warning(kind: str, text: str, end: datetime, *, use_helps: bool = False) -> Notice:
    # The id changes with the end, so that a new end is a new notice.
    return Notice(f"{kind}-{end.timestamp():.0f}", "warning", text, end, use_helps)
