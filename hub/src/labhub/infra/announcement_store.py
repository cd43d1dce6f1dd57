"""Storage of the current announcement in a file, so that the announcement continues after a restart of the hub."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from labhub.models.announcement import Announcement, AnnouncementError, parse_announcement

_log = logging.getLogger(__name__)


class AnnouncementStore:
    """The hub's current announcement, in memory and in a file.

    Parameters
    ----------
    file
        JSON file. The store writes the file at each change. It reads the file only at the first use, because errors can
        be logged only after JupyterHub has configured its log.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._is_read = False
        self._announcement: Announcement | None = None

    @property
    def current(self) -> Announcement | None:
        """The stored announcement, or None if the store is empty or the announcement has ended."""
        stored = self._stored()
        return stored if stored and not (stored.ends and stored.ends <= datetime.now(UTC)) else None

    @property
    def pause(self) -> Announcement | None:
        """The current announcement if it pauses spawning, else None."""
        current = self.current
        return current if current and current.spawning == "stopped" else None

    def replace(self, announcement: Announcement | None) -> None:
        """Store an announcement in place of the current one. With None, remove the current announcement.

        Raises
        ------
        OSError
            Raised if the file cannot be written. The current announcement stays.
        """
        if announcement is None:
            self._file.unlink(missing_ok=True)
        else:
            new = self._file.with_name(f"{self._file.name}.new")
            with new.open("w") as file:
                json.dump(announcement.to_dict(), file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._file)
        self._announcement, self._is_read = announcement, True

    def _stored(self) -> Announcement | None:
        if not self._is_read:
            self._announcement, self._is_read = self._read(), True
        return self._announcement

    def _read(self) -> Announcement | None:
        try:
            # The parser rejects an announcement that ends before `now`, but a stored announcement may have ended. So
            # pass the earliest possible time as `now`.
            return parse_announcement(json.loads(self._file.read_text()), datetime.min.replace(tzinfo=UTC))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AnnouncementError) as error:
            _log.error("%s: cannot read the stored announcement, ignoring it: %s", self._file.absolute(), error)
            return None
