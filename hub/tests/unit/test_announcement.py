"""Tests of valid and invalid announcements, and of the file that stores an announcement."""

from __future__ import annotations

import errno
import inspect
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jupyterhub.apihandlers import default_handlers as calls  # type: ignore[import-untyped]
from jupyterhub.handlers import default_handlers as pages  # type: ignore[import-untyped]
from labhub._patches import jupyterhub_handlers
from labhub.infra.announcement_store import AnnouncementStore
from labhub.labs.pod import ANNOUNCEMENT_PATH
from labhub.models.announcement import NO_ANNOUNCEMENT, Announcement, AnnouncementError, parse_announcement
from labhub.web.announcement import AnnouncementHandler
from labhub.web.routes import ROUTES
from labtesting.hub_stub import AnnouncementStub

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
STOP = Announcement("Maintenance", "warning", datetime(2099, 1, 1, tzinfo=UTC), "stopped")


def test_announcement_needs_only_a_message() -> None:
    assert parse_announcement({"message": " Maintenance at noon "}, NOW) == Announcement("Maintenance at noon", "info")


def test_announcement_round_trip_keeps_all_fields() -> None:
    model = {"message": "Ünter <b> 100 %", "level": "error", "ends": "2026-11-23T14:00:00Z", "spawning": "stopped"}
    assert parse_announcement(model, NOW).to_dict() == model
    assert parse_announcement(model | {"ends": "2026-11-23T15:00:00+01:00"}, NOW).to_dict() == model


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "found nothing, wanted an object with a message"),
        (["a"], "found ['a'], wanted an object"),
        ({"text": "a"}, "found 'text', wanted one of message, level, ends, spawning"),
        ({}, "message: found nothing, wanted 1 to 140 characters of plain text on one line"),
        ({"message": "  "}, "message: found '  '"),
        ({"message": 5}, "message: found 5"),
        ({"message": "two\nlines"}, r"message: found 'two\nlines'"),
        ({"message": "turned \u202e round"}, r"message: found 'turned \u202e round'"),
        ({"message": "x" * 141}, "message: found 141 characters"),
        ({"message": "a", "level": "success"}, "level: found 'success', wanted info or warning or error"),
        ({"message": "a", "spawning": False}, "spawning: found False, wanted allowed or stopped"),
        ({"message": "a", "ends": "tomorrow"}, "ends: found 'tomorrow', wanted a future time with a time zone"),
        ({"message": "a", "ends": "2026-11-23T14:00:00"}, "ends: found '2026-11-23T14:00:00'"),
        ({"message": "a", "ends": "2026-11-23T12:00:00Z"}, "ends: found '2026-11-23T12:00:00Z'"),
        ({"message": "a", "ends": "9999-12-31T23:59:59-14:00"}, "ends: found '9999"),
        ({"message": "a", "ends": 1795392000}, "ends: found 1795392000"),
    ],
)
def test_invalid_announcement_names_the_wanted_value(value: object, message: str) -> None:
    with pytest.raises(AnnouncementError) as raised:
        parse_announcement(value, NOW)
    assert message in str(raised.value)
    assert str(raised.value).isprintable()


def test_stored_announcement_is_read_until_cleared(tmp_path: Path) -> None:
    file = tmp_path / "announcement.json"
    store = AnnouncementStore(file)
    assert store.current is None
    store.replace(STOP)
    assert AnnouncementStore(file).pause == STOP
    store.replace(Announcement("For your information"))
    assert AnnouncementStore(file).current == Announcement("For your information")
    assert AnnouncementStore(file).pause is None
    store.replace(None)
    assert store.current is None
    assert AnnouncementStore(file).current is None
    assert list(tmp_path.iterdir()) == []


def test_expired_pause_stops_nothing(tmp_path: Path) -> None:
    file = tmp_path / "announcement.json"
    ended = Announcement("Maintenance", "info", datetime.now(UTC) - timedelta(seconds=1), "stopped")
    store = AnnouncementStore(file)
    store.replace(ended)
    assert store.pause is store.current is None
    assert AnnouncementStore(file).pause is None


@pytest.mark.parametrize("text", ["", "{", '{"message": ""}', "[]"])
def test_unreadable_announcement_file_is_ignored(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "announcement.json"
    file.write_text(text)
    assert AnnouncementStore(file).current is None
    assert f"{file}: cannot read the stored announcement, ignoring it: " in caplog.text


def test_full_disk_keeps_the_previous_announcement(tmp_path: Path) -> None:
    file = tmp_path / "announcement.json"
    store = AnnouncementStore(file)
    store.replace(STOP)
    (tmp_path / "announcement.json.new").symlink_to("/dev/full")
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        store.replace(Announcement("Other"))
    assert store.current == STOP
    assert AnnouncementStore(file).current == STOP


def test_each_handler_that_starts_labs_checks_the_pause() -> None:
    every = [(path, handler) for path, handler, *_ in [*pages, *calls]]
    starting = [path for path, handler in every if "self.spawn_single_user(" in inspect.getsource(handler)]
    ours = dict([*jupyterhub_handlers.ROUTES, *ROUTES])
    assert len(starting) == 5
    assert [
        path for path in starting if not issubclass(ours.get(path, object), jupyterhub_handlers.SpawnPauseMixin)
    ] == []


def test_announcement_stub_answers_like_the_hub() -> None:
    assert AnnouncementStub().model() == NO_ANNOUNCEMENT.to_dict()


def test_path_in_the_contract_is_that_of_the_handler() -> None:
    [path] = [path for path, handler in [*jupyterhub_handlers.ROUTES, *ROUTES] if handler is AnnouncementHandler]
    assert f"/hub{path}" == ANNOUNCEMENT_PATH
