"""Tests of the scan of disk usage: the scan is complete, limits its rate, and does not follow symlinks."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from labfiles.storage import Storage, prepare_storage
from labfiles.usage import MAX_DEPTH, RateLimiter, Report, Scanner, StoppedError, Usage, measure
from labtesting.hub_process import wait_until

MEGABYTE = b"x" * 2**20


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return prepare_storage(tmp_path)


def measure_path(path: Path) -> Usage:
    folder = os.open(path, os.O_RDONLY)
    try:
        return measure(folder, lambda: None)
    finally:
        os.close(folder)


def fill(path: Path, megabytes: int = 1) -> None:
    path.mkdir(parents=True)
    for number in range(megabytes):
        with (path / str(number)).open("wb") as file:
            file.write(MEGABYTE)
            os.fsync(file.fileno())  # only data that is written to the disk has blocks


def test_files_and_folders_count_by_their_blocks(tmp_path: Path) -> None:
    fill(tmp_path / "a/b/c", 2)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**30)
    usage = measure_path(tmp_path)
    assert usage.files == 6
    assert 2 * 2**20 <= usage.bytes < 2.2 * 2**20


def test_file_with_two_hard_links_counts_once(tmp_path: Path) -> None:
    fill(tmp_path / "a")
    (tmp_path / "b").hardlink_to(tmp_path / "a/0")
    assert measure_path(tmp_path).files == 2


def test_a_symlink_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    fill(tmp_path / "elsewhere", 2)
    (tmp_path / "a/out").symlink_to(tmp_path / "elsewhere")
    assert measure_path(tmp_path / "a").bytes < 2**20


def test_a_folder_that_is_too_deep_is_skipped(tmp_path: Path) -> None:
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(MAX_DEPTH + 50):
            os.mkdir("d")
            os.chdir("d")
    finally:
        os.chdir(here)
    usage = measure_path(tmp_path)
    assert (usage.files, usage.skipped) == (MAX_DEPTH + 1, 1)


def test_scan_rate_is_limited() -> None:
    limiter = RateLimiter(1000, threading.Event())
    start = time.monotonic()
    for _ in range(300):
        limiter.wait()
    assert time.monotonic() - start > 0.2


def test_a_stop_ends_a_measurement() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        RateLimiter(1, stop).wait()


@pytest.fixture
def scanner(storage: Storage) -> Iterator[Scanner]:
    fill(storage.home / "5000", 2)
    fill(storage.project / "6000")
    (storage.home / "no-number").mkdir()
    (storage.home / "5001").symlink_to(storage.home / "5000")
    running = Scanner(storage, interval=1, rate=10**6)
    running.start()
    yield running
    running.stop()


def test_all_folders_are_measured_at_each_interval(storage: Storage, scanner: Scanner) -> None:
    wait_until(lambda: scanner.report.finished > 0, "the first scan ends")
    assert set(scanner.report.folders) == {"home/5000", "project/6000"}
    fill(storage.home / "5002")
    (storage.project / "6000/0").unlink()
    (storage.project / "6000").rmdir()
    wait_until(lambda: set(scanner.report.folders) == {"home/5000", "home/5002"}, "the next scan ends")


def test_a_restart_continues_the_scan(storage: Storage) -> None:
    fill(storage.home / "5000")
    fill(storage.home / "5001")
    started = time.time() - 5
    measured = Usage(bytes=123, files=4, at=started + 1)
    Report(started=started, finished=started - 10, seconds=3, folders={"home/5000": measured}).write(
        storage.own / "usage.json"
    )
    scanner = Scanner(storage, interval=3600, rate=10**6)
    scanner.start()
    wait_until(lambda: scanner.report.finished > started, "the scan ends")
    scanner.stop()
    saved = Report.read(storage.own / "usage.json")
    assert saved == scanner.report
    expected = (started, measured)
    assert (saved.started, saved.folders["home/5000"]) == expected, "a folder was measured again after the restart"
    assert saved.folders["home/5001"].bytes > 2**20
    assert saved.seconds >= 5


def test_a_root_that_is_missing_for_a_time_is_retried(storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
    fill(storage.home / "5000")
    moved = storage.home.rename(storage.root / "moved")
    scanner = Scanner(storage, interval=1, rate=10**6)
    scanner.start()
    try:
        message = "cannot measure the folders, retry in 1 s"
        wait_until(lambda: message in caplog.text, "the failed scan is logged")
        assert (scanner.report.finished, scanner.scanning) == (0, False)
        moved.rename(storage.home)
        wait_until(lambda: "home/5000" in scanner.report.folders, "the home is measured")
    finally:
        scanner.stop()


def test_a_stop_ends_the_wait_for_a_retry(storage: Storage, caplog: pytest.LogCaptureFixture) -> None:
    storage.home.rmdir()
    scanner = Scanner(storage, interval=3600, rate=10**6)
    scanner.start()
    wait_until(lambda: "retry in 60 s" in caplog.text, "the failed scan is logged")
    start = time.monotonic()
    scanner.stop()
    assert time.monotonic() - start < 50


def test_unreadable_report_counts_as_empty(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"folders": {"home/5000": 5}}', '{"folders": {}, "more": 1}'):
        (tmp_path / "usage.json").write_text(text)
        assert Report.read(tmp_path / "usage.json") == Report()


def test_a_full_disk_does_not_end_the_scanner(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    full = tmp_path / "usage.json"
    full.with_suffix(".new").symlink_to("/dev/full")
    Report(started=1).write(full)
    assert "No space left on device" in caplog.text
    assert list(tmp_path.iterdir()) == []
