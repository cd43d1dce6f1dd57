"""How much each home and project folder holds, measured so slowly that nobody notices.

A round looks at every folder once; then nothing until the next is due. What was measured is kept on the storage, so
that a restart goes on with the folder where it stopped.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from labfiles.folders import HOME, OPEN_FOLDER, PROJECT, BadIdError, parse_id
from labfiles.storage import Storage, libc

logger = logging.getLogger(__name__)

IOPRIO_SET, IOPRIO_WHO_PROCESS, IDLE = 251, 1, 3 << 13
BLOCK = 512
# Each level keeps two files open while what is below it is measured.
MAX_DEPTH = 100
# The scan sleeps when it is this many seconds ahead of its rate.
AHEAD = 0.05
SAVE_SECONDS = 10.0
# After a round that failed; a shorter interval comes first.
RETRY_SECONDS = 60.0


@dataclass
class Usage:
    """What one folder held.

    Attributes
    ----------
    bytes
        On the disk; a file with several names counts once.
    files
        Files and folders.
    skipped
        Folders that were not looked into, for they lie too deep.
    at
        When (Unix time, seconds).
    """

    bytes: int = 0
    files: int = 0
    skipped: int = 0
    at: float = 0


@dataclass
class Report:
    """What is known, and of the last whole round.

    Attributes
    ----------
    started
        When the round began that is under way, or was last.
    finished, seconds
        When the last whole round ended, and how long it had taken; 0: there was none.
    folders
        By "kind/id".
    """

    started: float = 0
    finished: float = 0
    seconds: float = 0
    folders: dict[str, Usage] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Report:
        """Take up what was kept; what is not there or broken is measured again."""
        try:
            kept = json.loads(file.read_text())
            folders = {str(key): Usage(**one) for key, one in kept.pop("folders").items()}
            return cls(**kept, folders=folders)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            logger.warning("%s cannot be read, everything is measured anew: %s", file, error)
            return cls()

    def write(self, file: Path) -> None:
        """Keep it; a full disk loses nothing but that."""
        new = file.with_suffix(".new")
        try:
            new.write_text(json.dumps(asdict(self)))
            new.replace(file)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            logger.warning("%s cannot be written: %s", file, error.strerror)


class Pace:
    """Keeps to a number of files in a second."""

    def __init__(self, rate: float, stop: threading.Event) -> None:
        self._rate, self._stop = rate, stop
        self._next = time.monotonic()

    def take(self) -> None:
        """Wait until one more may be looked at.

        Raises
        ------
        StoppedError
            The program ends.
        """
        now = time.monotonic()
        self._next = max(self._next, now - AHEAD) + 1 / self._rate
        if self._stop.is_set() or (self._next - now > AHEAD and self._stop.wait(self._next - now)):
            raise StoppedError


class StoppedError(Exception):
    """The program ends: what was begun is not finished."""


def measure(folder: int, take: Callable[[], None]) -> Usage:
    """Measure an open folder, without leaving its file system or following a symlink.

    Parameters
    ----------
    folder
        Its file descriptor.
    take
        Called before each file.
    """
    found, device, seen = Usage(), os.fstat(folder).st_dev, set[int]()

    def look(inside: int, depth: int) -> None:
        with os.scandir(inside) as entries:
            for entry in entries:
                take()
                with suppress(FileNotFoundError, NotADirectoryError):  # somebody was faster
                    status = entry.stat(follow_symlinks=False)
                    if status.st_dev != device or status.st_ino in seen:
                        continue
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if status.st_nlink > 1 and not is_folder:
                        seen.add(status.st_ino)
                    found.bytes += status.st_blocks * BLOCK
                    found.files += 1
                    if is_folder and depth == MAX_DEPTH:
                        found.skipped += 1
                    elif is_folder:
                        go_into(entry.name, inside, depth + 1)

    def go_into(name: str, inside: int, depth: int) -> None:
        try:
            below = os.open(name, OPEN_FOLDER, dir_fd=inside)
        except OSError as error:
            raise FileNotFoundError from error  # by now it is something else
        try:
            look(below, depth)
        finally:
            os.close(below)

    look(folder, 0)
    found.bytes += os.fstat(folder).st_blocks * BLOCK
    found.at = time.time()
    return found


class Scanner:
    """Measures every folder, again and again, one at a time."""

    def __init__(self, storage: Storage, interval: float, rate: float) -> None:
        self._storage, self._interval, self._rate = storage, interval, rate
        self._file = storage.own / "usage.json"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage")
        self.report = Report.read(self._file)
        self.scanning = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End at the next file, and keep what is known."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        be_idle()
        with suppress(StoppedError):
            while not self._stop.wait(self._seconds_until_due()):
                self._try_round()
        self.report.write(self._file)

    def _try_round(self) -> None:
        try:
            self._round()
        except OSError as error:  # a disk that fails, or a root that is away during a restore
            seconds = min(self._interval, RETRY_SECONDS)
            logger.warning("the folders cannot be measured, tried again in %d s: %s", seconds, error)
            self._stop.wait(seconds)

    def _seconds_until_due(self) -> float:
        if self.report.finished < self.report.started:  # one was begun, and not finished
            return 0
        # A clock that was put back must not keep it from measuring.
        return min(self._interval, max(0.0, self.report.started + self._interval - time.time()))

    def _round(self) -> None:
        report = self.report
        if report.finished >= report.started:
            report.started = time.time()
        self.scanning = True
        try:
            pace, saved = Pace(self._rate, self._stop), time.monotonic()
            there = dict(self._folders())
            report.folders = {key: one for key, one in report.folders.items() if key in there}
            for key, path in there.items():
                if key in report.folders and report.folders[key].at >= report.started:
                    continue
                self._measure(key, path, pace)
                if time.monotonic() - saved > SAVE_SECONDS:
                    report.write(self._file)
                    saved = time.monotonic()
        finally:
            self.scanning = False
        report.finished = max(time.time(), report.started)
        report.seconds = report.finished - report.started
        report.write(self._file)

    def _folders(self) -> Iterator[tuple[str, Path]]:
        for kind in (HOME, PROJECT):
            root = self._storage.root / kind.export
            for name in sorted(os.listdir(root)):
                with suppress(BadIdError):
                    yield f"{kind.name}/{parse_id(name)}", root / name

    def _measure(self, key: str, path: Path, pace: Pace) -> None:
        try:
            folder = os.open(path, OPEN_FOLDER)
        except OSError:  # removed, or no folder
            return
        try:
            usage = measure(folder, pace.take)
        except OSError as error:
            logger.warning("%s cannot be measured: %s", path, error.strerror)
            return
        finally:
            os.close(folder)
        # A new dictionary: whoever reads the metrics goes through the old one.
        self.report.folders = {**self.report.folders, key: usage}


def be_idle() -> None:
    """Give this thread the processor and the disk only when nobody else wants them."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    if libc.syscall(IOPRIO_SET, IOPRIO_WHO_PROCESS, 0, IDLE):
        logger.warning("the disk's priority cannot be lowered: %s", os.strerror(ctypes.get_errno()))
