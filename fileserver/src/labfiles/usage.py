"""The disk usage of each home and project folder, measured slowly.

A scan measures each folder once. The results are saved on the storage, so that a restart continues with the next
folder.
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

from labfiles.folders import HOME, OPEN_FOLDER, PROJECT, InvalidIdError, parse_id
from labfiles.storage import Storage, libc

logger = logging.getLogger(__name__)

IOPRIO_SET, IOPRIO_WHO_PROCESS, IDLE = 251, 1, 3 << 13
BLOCK = 512
# Each level keeps two files open while the levels below are measured.
MAX_DEPTH = 100
# The scan sleeps when it is this many seconds ahead of its rate.
AHEAD = 0.05
SAVE_SECONDS = 10.0
# Wait after a scan that failed, unless the interval is shorter.
RETRY_SECONDS = 60.0


@dataclass
class Usage:
    """The disk usage of one folder.

    Attributes
    ----------
    bytes
        Blocks on the disk. A file with several names counts once.
    files
        Number of files and folders.
    skipped
        Number of folders that were not measured because of their depth.
    at
        Time of the measurement (Unix time, seconds).
    """

    bytes: int = 0
    files: int = 0
    skipped: int = 0
    at: float = 0


@dataclass
class Report:
    """The results of the current and the last complete scan.

    Attributes
    ----------
    started
        When the current or last scan started.
    finished, seconds
        When the last complete scan ended, and its duration; 0: there was none.
    folders
        Usage by "kind/id".
    """

    started: float = 0
    finished: float = 0
    seconds: float = 0
    folders: dict[str, Usage] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Report:
        """Return the saved report. A missing or broken one is empty: everything is measured again."""
        try:
            saved = json.loads(file.read_text())
            folders = {str(key): Usage(**usage) for key, usage in saved.pop("folders").items()}
            return cls(**saved, folders=folders)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            logger.warning("%s cannot be read, everything is measured again: %s", file, error)
            return cls()

    def write(self, file: Path) -> None:
        """Save the report. On a full disk the file is not written, and nothing else is lost."""
        new = file.with_suffix(".new")
        try:
            new.write_text(json.dumps(asdict(self)))
            new.replace(file)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            logger.warning("%s cannot be written: %s", file, error.strerror)


class StoppedError(Exception):
    """The program ends: the current measurement is abandoned."""


class RateLimiter:
    """Limits a scan to a number of files per second."""

    def __init__(self, rate: float, stop: threading.Event) -> None:
        self._rate, self._stop = rate, stop
        self._next = time.monotonic()

    def wait(self) -> None:
        """Wait until the next file may be measured.

        Raises
        ------
        StoppedError
            Raised if the program ends.
        """
        now = time.monotonic()
        self._next = max(self._next, now - AHEAD) + 1 / self._rate
        if self._stop.is_set() or (self._next - now > AHEAD and self._stop.wait(self._next - now)):
            raise StoppedError


def measure(folder: int, wait: Callable[[], None]) -> Usage:
    """Measure an open folder. Do not leave its file system and do not follow symlinks.

    Parameters
    ----------
    folder
        Its file descriptor.
    wait
        Called before each file.
    """
    usage, device, seen = Usage(), os.fstat(folder).st_dev, set[int]()

    def measure_entries(inside: int, depth: int) -> None:
        with os.scandir(inside) as entries:
            for entry in entries:
                wait()
                with suppress(FileNotFoundError, NotADirectoryError):  # removed or replaced since scandir
                    status = entry.stat(follow_symlinks=False)
                    if status.st_dev != device or status.st_ino in seen:
                        continue
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if status.st_nlink > 1 and not is_folder:
                        seen.add(status.st_ino)
                    usage.bytes += status.st_blocks * BLOCK
                    usage.files += 1
                    if is_folder and depth == MAX_DEPTH:
                        usage.skipped += 1
                    elif is_folder:
                        measure_subfolder(entry.name, inside, depth + 1)

    def measure_subfolder(name: str, inside: int, depth: int) -> None:
        try:
            subfolder = os.open(name, OPEN_FOLDER, dir_fd=inside)
        except OSError as error:
            raise FileNotFoundError from error  # replaced by something else since scandir
        try:
            measure_entries(subfolder, depth)
        finally:
            os.close(subfolder)

    measure_entries(folder, 0)
    usage.bytes += os.fstat(folder).st_blocks * BLOCK
    usage.at = time.time()
    return usage


class Scanner:
    """Measures all folders in a thread, one at a time, at an interval."""

    def __init__(self, storage: Storage, interval: float, rate: float) -> None:
        self._storage, self._interval, self._rate = storage, interval, rate
        self._file = storage.own / "usage.json"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage")
        self.report = Report.read(self._file)
        self.scanning = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop at the next file, and save the report."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        use_idle_priority()
        with suppress(StoppedError):
            while not self._stop.wait(self._seconds_until_due()):
                self._try_scan()
        self.report.write(self._file)

    def _try_scan(self) -> None:
        try:
            self._scan()
        except OSError as error:  # a broken disk, or a root that is missing during a restore
            seconds = min(self._interval, RETRY_SECONDS)
            logger.warning("the folders cannot be measured, tried again in %d s: %s", seconds, error)
            self._stop.wait(seconds)

    def _seconds_until_due(self) -> float:
        if self.report.finished < self.report.started:  # a scan was not finished
            return 0
        # If the clock was set back, wait one interval at most.
        return min(self._interval, max(0.0, self.report.started + self._interval - time.time()))

    def _scan(self) -> None:
        report = self.report
        if report.finished >= report.started:
            report.started = time.time()
        self.scanning = True
        try:
            self._measure_due_folders()
        finally:
            self.scanning = False
        report.finished = max(time.time(), report.started)
        report.seconds = report.finished - report.started
        report.write(self._file)

    def _measure_due_folders(self) -> None:
        """Measure the folders that this scan has not measured yet, and save from time to time."""
        report, limiter, saved = self.report, RateLimiter(self._rate, self._stop), time.monotonic()
        existing = dict(self._list_folders())
        report.folders = {key: usage for key, usage in report.folders.items() if key in existing}
        for key, path in existing.items():
            if key in report.folders and report.folders[key].at >= report.started:
                continue
            self._measure_folder(key, path, limiter)
            if time.monotonic() - saved > SAVE_SECONDS:
                report.write(self._file)
                saved = time.monotonic()

    def _list_folders(self) -> Iterator[tuple[str, Path]]:
        for kind in (HOME, PROJECT):
            root = self._storage.root / kind.export
            for name in sorted(os.listdir(root)):
                with suppress(InvalidIdError):
                    yield f"{kind.name}/{parse_id(name)}", root / name

    def _measure_folder(self, key: str, path: Path, limiter: RateLimiter) -> None:
        try:
            folder = os.open(path, OPEN_FOLDER)
        except OSError:  # removed, or no folder
            return
        try:
            usage = measure(folder, limiter.wait)
        except OSError as error:
            logger.warning("%s cannot be measured: %s", path, error.strerror)
            return
        finally:
            os.close(folder)
        # A new dictionary: a reader of the metrics may iterate over the old one.
        self.report.folders = {**self.report.folders, key: usage}


def use_idle_priority() -> None:
    """Let this thread use the processor and the disk only when no other process needs them."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    if libc.syscall(IOPRIO_SET, IOPRIO_WHO_PROCESS, 0, IDLE):
        logger.warning("the disk's priority cannot be lowered: %s", os.strerror(ctypes.get_errno()))
