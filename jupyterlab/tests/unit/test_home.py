"""What a probe finds in a home."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from lsstlab import home


def test_a_sound_home_has_no_finding_and_no_file_of_ours(tmp_path: Path) -> None:
    assert home.probe(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_lab_left_behind_is_removed(tmp_path: Path) -> None:
    (tmp_path / home.PROBE_NAME).write_text("old")
    assert home.probe(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_probe_s_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    (tmp_path / home.PROBE_NAME).symlink_to(tmp_path / "mine")
    home.probe(tmp_path)
    assert (tmp_path / "mine").read_text() == "kept"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_home_that_takes_a_part_only_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    assert home.probe(tmp_path) == home.Finding(full=True, reason=os.strerror(number), readable=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.ESTALE, errno.EIO, errno.EACCES])
def test_a_home_that_fails_otherwise_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def write(_: int, _content: bytes) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", write)
    assert home.probe(tmp_path) == home.Finding(full=False, reason=os.strerror(number), readable=True)


def test_a_home_that_is_no_folder_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("file", "missing"):
        finding = home.probe(tmp_path / name)
        assert finding is not None
        assert not finding.full


def test_a_home_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: gone.wait(60))
    finding = home.Probing(tmp_path).result(timeout=0.05)
    gone.set()
    assert finding == home.Finding(full=False, reason="no answer within 0 s")


def test_notices_are_no_longer_than_jupyterlab_shows() -> None:
    reason = os.strerror(errno.ENOENT)
    assert max(len(home.Finding(full, reason).notice) for full in (True, False)) <= 140
