"""Tests of `check_spawning_allowed`, which refuses to start labs while spawning is paused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from labhub.infra.announcement_store import AnnouncementStore
from labhub.models.announcement import Announcement
from labhub.web.spawn import SpawnPausedError, check_spawning_allowed

PAUSE = Announcement("Maintenance", "warning", datetime(2099, 1, 1, tzinfo=UTC), "stopped")


@dataclass
class App:
    """A hub with the attributes that `check_spawning_allowed` reads."""

    announcements: AnnouncementStore
    recovering_labs: bool = False
    launcher: Any = None


@pytest.fixture
def app(tmp_path: Path) -> App:
    return App(AnnouncementStore(tmp_path / "announcement.json"))


def test_labs_start_without_a_pause(app: App) -> None:
    check_spawning_allowed(app)
    app.announcements.replace(Announcement("Only for your information"))
    check_spawning_allowed(app)
    assert app.announcements.pause is None


def test_an_announcement_pauses_the_start_of_labs(app: App) -> None:
    app.announcements.replace(PAUSE)
    with pytest.raises(SpawnPausedError, match="No new lab can start until 2099-01-01 00:00 UTC: Maintenance") as error:
        check_spawning_allowed(app)
    assert error.value.status_code == 429
    assert error.value.headers == {"Retry-After": "60"}


def test_no_lab_starts_while_lost_labs_are_recovered(app: App) -> None:
    app.recovering_labs = True
    with pytest.raises(SpawnPausedError, match="is looking for running labs"):
        check_spawning_allowed(app)
