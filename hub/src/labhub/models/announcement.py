"""What an administrator tells everybody, and whether labs may be started meanwhile: the hub's one announcement.

It lies in a file beside the database, so that a hub that starts anew still has it, and refuses as before.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LEVELS = ("info", "warning", "error")
SPAWNING = ("allowed", "stopped")
FIELDS = ("message", "level", "ends", "spawning")
# What JupyterLab shows of a notification.
LONGEST = 140
_log = logging.getLogger(__name__)


class AnnouncementError(Exception):
    """What was asked for cannot be announced; the message says what was found and what is wanted."""


@dataclass(frozen=True)
class Announcement:
    """What is told, and what goes with it.

    Attributes
    ----------
    message
        Plain text on one line.
    level
        One of `LEVELS`: how it is shown.
    ends
        When it is over by itself; None: when somebody ends it.
    spawning
        One of `SPAWNING`: whether labs may be started.
    """

    message: str
    level: str = "info"
    ends: datetime | None = None
    spawning: str = "allowed"

    def model(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        ends = f"{self.ends:%Y-%m-%dT%H:%M:%SZ}" if self.ends else None
        return {"message": self.message, "level": self.level, "ends": ends, "spawning": self.spawning}

    def refusal(self) -> str:
        """Say why no lab is started."""
        until = f" until {self.ends:%Y-%m-%d %H:%M} UTC" if self.ends else " now"
        return f"no lab is started{until}: {self.message}"


NOTHING = Announcement("")


def parse(found: object, now: datetime) -> Announcement:
    """Read an announcement as `Announcement.model` gives it; all but the message may be left out.

    Raises
    ------
    AnnouncementError
        The first thing that is wrong.
    """
    if not isinstance(found, Mapping):
        raise AnnouncementError(f"found {_shown(found)}, wanted an object with a message")
    for name in found:
        if name not in FIELDS:
            raise AnnouncementError(f"found {_shown(name)}, wanted one of {', '.join(FIELDS)}")
    return Announcement(
        parse_message(found.get("message")),
        _one_of("level", found.get("level", "info"), LEVELS),
        parse_end(found.get("ends"), now),
        _one_of("spawning", found.get("spawning", "allowed"), SPAWNING),
    )


def parse_message(found: object) -> str:
    """Take a text; blanks around it are dropped."""
    text = found.strip() if isinstance(found, str) else ""
    if not text or len(text) > LONGEST or not text.isprintable():
        seen = f"{len(text)} characters" if len(text) > LONGEST else _shown(found)
        raise AnnouncementError(f"message: found {seen}, wanted 1 to {LONGEST} characters of plain text on one line")
    return text


def parse_end(found: object, now: datetime) -> datetime | None:
    """Take a time that is not over; None and nothing are none."""
    if found is None or found == "":
        return None
    try:
        ends = datetime.fromisoformat(found) if isinstance(found, str) else None
        # Beyond some thousand years there is no such time in another zone.
        ends = ends.astimezone(UTC).replace(microsecond=0) if ends and ends.tzinfo else None
    except (ValueError, OverflowError):
        ends = None
    if ends is None or ends <= now:
        example = f"{now.year + 1}-01-31T18:00:00Z"
        raise AnnouncementError(
            f"ends: found {_shown(found)}, wanted a time to come with its zone, for example {example}"
        )
    return ends


def _one_of(name: str, found: object, wanted: tuple[str, ...]) -> str:
    if found not in wanted:
        raise AnnouncementError(f"{name}: found {_shown(found)}, wanted {' or '.join(wanted)}")
    return str(found)


def _shown(found: object) -> str:
    if found is None:
        return "nothing"
    text = ascii(found)
    return text if len(text) <= 60 else f"{text[:60]}..."


class Board:
    """Where the announcement hangs.

    Parameters
    ----------
    file
        Where it is kept.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._posted = self._read()

    @property
    def current(self) -> Announcement | None:
        """What is announced, unless it is over."""
        posted = self._posted
        return posted if posted and not (posted.ends and posted.ends <= datetime.now(UTC)) else None

    @property
    def stop(self) -> Announcement | None:
        """What is announced, if it keeps labs from being started."""
        current = self.current
        return current if current and current.spawning == "stopped" else None

    def post(self, announcement: Announcement | None) -> None:
        """Announce something in the place of what was, or nothing any more.

        Raises
        ------
        OSError
            It cannot be kept; what was announced stays.
        """
        if announcement is None:
            self._file.unlink(missing_ok=True)
        else:
            new = self._file.with_name(f"{self._file.name}.new")
            with new.open("w") as file:
                json.dump(announcement.model(), file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
        self._posted = announcement

    def _read(self) -> Announcement | None:
        try:
            # One that is over by now was none that could not be posted.
            return parse(json.loads(self._file.read_text()), datetime.min.replace(tzinfo=UTC))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AnnouncementError) as error:
            _log.error("%s: nothing is announced, it cannot be read: %s", self._file.absolute(), error)
            return None
