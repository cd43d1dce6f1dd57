"""An administrator's announcement, which all users see, and which can pause spawning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LEVELS = ("info", "warning", "error")
SPAWNING = ("allowed", "stopped")
FIELDS = ("message", "level", "ends", "spawning")
# JupyterLab truncates the text of a notification to this number of characters.
MESSAGE_MAX = 140


class AnnouncementError(Exception):
    """Error for an invalid announcement. The message names the field, the value and the expected value."""


@dataclass(frozen=True)
class Announcement:
    """An announcement to all users.

    Attributes
    ----------
    message
        Plain text on one line.
    level
        One of `LEVELS`. The level sets the colour of the announcement.
    ends
        Time at which the announcement ends, or None if an administrator has to end it.
    spawning
        `allowed`, or `stopped` if no new lab may start during the announcement.
    """

    message: str
    level: str = "info"
    ends: datetime | None = None
    spawning: str = "allowed"

    def to_dict(self) -> dict[str, Any]:
        """Return the announcement as a dictionary, the form in which the hub's API and the hub's file contain it."""
        ends = f"{self.ends:%Y-%m-%dT%H:%M:%SZ}" if self.ends else None
        return {"message": self.message, "level": self.level, "ends": ends, "spawning": self.spawning}

    def pause_message(self) -> str:
        """Return the message for a user whose lab cannot start because of this announcement."""
        until = f"until {self.ends:%Y-%m-%d %H:%M} UTC" if self.ends else "now"
        return f"No new lab can start {until}: {self.message}"


NO_ANNOUNCEMENT = Announcement("")


def parse_announcement(value: object, now: datetime) -> Announcement:
    """Parse a dictionary with the fields of `Announcement.to_dict`. All fields except the message are optional.

    Raises
    ------
    AnnouncementError
        Raised for the first invalid field.
    """
    if not isinstance(value, Mapping):
        raise AnnouncementError(f"found {_quote(value)}, wanted an object with a message")
    for name in value:
        if name not in FIELDS:
            raise AnnouncementError(f"found {_quote(name)}, wanted one of {', '.join(FIELDS)}")
    return Announcement(
        parse_message(value.get("message")),
        _parse_choice("level", value.get("level", "info"), LEVELS),
        parse_end(value.get("ends"), now),
        _parse_choice("spawning", value.get("spawning", "allowed"), SPAWNING),
    )


def parse_message(value: object) -> str:
    """Return the text of an announcement without white space at both ends.

    Raises
    ------
    AnnouncementError
        Raised if the text is empty, too long or not one line of plain text.
    """
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > MESSAGE_MAX or not text.isprintable():
        shown = f"{len(text)} characters" if len(text) > MESSAGE_MAX else _quote(value)
        raise AnnouncementError(
            f"message: found {shown}, wanted 1 to {MESSAGE_MAX} characters of plain text on one line"
        )
    return text


def parse_end(value: object, now: datetime) -> datetime | None:
    """Parse the time at which an announcement ends. Return the time in UTC, or None for an empty value.

    Raises
    ------
    AnnouncementError
        Raised if the value is not a time with a time zone, or is in the past.
    """
    if value is None or value == "":
        return None
    try:
        ends = datetime.fromisoformat(value) if isinstance(value, str) else None
        # `astimezone` raises OverflowError near the year 9999.
        ends = ends.astimezone(UTC).replace(microsecond=0) if ends and ends.tzinfo else None
    except (ValueError, OverflowError):
        ends = None
    if ends is None or ends <= now:
        example = f"{now.year + 1}-01-31T18:00:00Z"
        raise AnnouncementError(
            f"ends: found {_quote(value)}, wanted a future time with a time zone, for example {example}"
        )
    return ends


def _parse_choice(name: str, value: object, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise AnnouncementError(f"{name}: found {_quote(value)}, wanted {' or '.join(choices)}")
    return str(value)


def _quote(value: object) -> str:
    if value is None:
        return "nothing"
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
