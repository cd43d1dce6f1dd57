"""Tests of the home check. At the start of a lab, it checks whether the lab can write to the home."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from lsstlab import home_check


def test_sound_home_has_no_problem_and_no_leftover_file(tmp_path: Path) -> None:
    assert home_check.check_home(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_a_killed_lab_is_removed(tmp_path: Path) -> None:
    (tmp_path / home_check.PROBE_NAME).write_text("old")
    assert home_check.check_home(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    (tmp_path / home_check.PROBE_NAME).symlink_to(tmp_path / "mine")
    home_check.check_home(tmp_path)
    assert (tmp_path / "mine").read_text() == "kept"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_home_without_room_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    assert home_check.check_home(tmp_path) == home_check.HomeProblem(
        full=True, reason=os.strerror(number), readable=True
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.ESTALE, errno.EIO, errno.EACCES])
def test_home_with_another_error_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def write(_: int, _content: bytes) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", write)
    assert home_check.check_home(tmp_path) == home_check.HomeProblem(
        full=False, reason=os.strerror(number), readable=True
    )


def test_home_without_a_folder_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "missing"):
        problem = home_check.check_home(tmp_path / name)
        assert problem is not None
        assert not problem.full


def test_a_home_that_does_not_answer_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: gone.wait(60))
    problem = home_check.BackgroundCheck(tmp_path).wait(timeout=0.05)
    gone.set()
    assert problem == home_check.HomeProblem(full=False, reason="no answer within 0 s")


def test_notices_fit_into_jupyterlabs_notifications() -> None:
    reason = os.strerror(errno.ENOENT)
    assert max(len(home_check.HomeProblem(full, reason).notice) for full in (True, False)) <= 140
