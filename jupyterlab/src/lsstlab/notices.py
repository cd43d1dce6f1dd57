"""A notice to the user of a lab, with its text for the JupyterLab page and its text for terminals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

# Maximum length of a notice on the page: JupyterLab shows only the first 140 characters of a notification.
PAGE_LENGTH = 140
IDLE_TEXT = "This lab has been idle for {idle}. It stops at {{time}} unless you use it."
AGE_TEXT = "This lab stops at {{time}}, even if code is running: labs may run for at most {age}. Save your work."


@dataclass(frozen=True)
class Notice:
    """A message to the user of a lab.

    Attributes
    ----------
    id
        Identifier. The page and the terminals show two notices with the same `id` only once.
    level
        JupyterLab's type of the notification: `info`, `warning` or `error`.
    text
        The message. The page replaces the placeholder `{time}` by `time` in the browser's time zone.
    time
        The time when the lab stops; None: the message has no time.
    use_helps
        Whether the notice disappears when the user uses the lab.
    terminal_text
        The message for terminals; empty: terminals show `text`.
    """

    id: str
    level: str
    text: str
    time: datetime | None = None
    use_helps: bool = False
    terminal_text: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the notice as a dictionary that can be converted to JSON."""
        return asdict(self) | {"time": self.time.isoformat() if self.time else None}

    def to_terminal_line(self) -> str:
        """Return the notice as one line for a terminal, with the time in the lab's time zone."""
        text = self.terminal_text or self.text
        return text.replace("{time}", f"{self.time.astimezone():%H:%M %Z}" if self.time else "")


def create_idle_warning(idle: str, end: datetime) -> Notice:
    """Return the warning for a lab that the hub stops because it is idle."""
    return _create_warning("idle", IDLE_TEXT.format(idle=idle), end, use_helps=True)


def create_age_warning(age: str, end: datetime) -> Notice:
    """Return the warning for a lab that the hub stops because of its age."""
    return _create_warning("age", AGE_TEXT.format(age=age), end)


def _create_warning(kind: str, text: str, end: datetime, *, use_helps: bool = False) -> Notice:
    # The id contains the time when the lab stops. If this time changes, the page and the terminals show a new notice.
    return Notice(f"{kind}-{end.timestamp():.0f}", "warning", text, end, use_helps)
