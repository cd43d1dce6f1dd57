"""The disk usage of each home and project folder, measured slowly in the background.

A scan measures each folder once. The results are saved on the storage, so that an interrupted scan can continue with
the next folder after a restart.
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
# Maximum depth of nested folders. The limit bounds the number of open files: while the scan measures a subfolder, each
# level above keeps two file descriptors open.
MAX_DEPTH = 100
# The scan sleeps only if it is this many seconds ahead of its configured rate.
AHEAD = 0.05
SAVE_SECONDS = 10.0
# Seconds until a failed scan is retried. If the interval between scans is shorter than this time, the scanner waits for
# the interval instead.
RETRY_SECONDS = 60.0


@dataclass
class Usage:
    """The disk usage of one folder.

    Attributes
    ----------
    bytes
        Size of the folder's blocks on the disk. A file with several hard links counts once.
    files
        Number of files and folders.
    skipped
        Number of folders that were not measured because they are nested deeper than `MAX_DEPTH`.
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
        Time when the current scan started, or the last scan if none is running (Unix time, seconds).
    finished, seconds
        Time when the last complete scan ended (Unix time), and its duration in seconds. Both are 0 before the first
        complete scan.
    folders
        The usage of each folder. A key has the kind and the id of a folder, for example "home/5000".
    """

    started: float = 0
    finished: float = 0
    seconds: float = 0
    folders: dict[str, Usage] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Report:
        """Return the report that a file contains, or an empty report if the file is missing or broken."""
        try:
            saved = json.loads(file.read_text())
            folders = {str(key): Usage(**usage) for key, usage in saved.pop("folders").items()}
            return cls(**saved, folders=folders)
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            logger.warning("cannot read %s, all folders are measured again: %s", file, error)
            return cls()

    def write(self, file: Path) -> None:
        """Save the report in a file.

        If the file cannot be written, for example on a full disk, keep the old file and log a warning.
        """
        new = file.with_suffix(".new")
        try:
            new.write_text(json.dumps(asdict(self)))
            new.replace(file)
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            logger.warning("cannot write %s: %s", file, error.strerror)


class StoppedError(Exception):
    """An exception that ends the current measurement without a result, because the program is stopping."""


class RateLimiter:
    """A limiter that slows a scan down to a number of files per second."""

    def __init__(self, rate: float, stop: threading.Event) -> None:
        self._rate, self._stop = rate, stop
        self._next = time.monotonic()

    def wait(self) -> None:
        """Wait until the scan may measure the next file.

        Raises
        ------
        StoppedError
            Raised if the program stops.
        """
        now = time.monotonic()
        self._next = max(self._next, now - AHEAD) + 1 / self._rate
        if self._stop.is_set() or (self._next - now > AHEAD and self._stop.wait(self._next - now)):
            raise StoppedError


def measure(folder: int, wait: Callable[[], None]) -> Usage:
    """Measure an open folder, without leaving its file system or following symlinks.

    Parameters
    ----------
    folder
        The file descriptor of the folder.
    wait
        Function that is called before each file is measured. The function waits to limit the rate of the scan.
    """
    usage, device, seen = Usage(), os.fstat(folder).st_dev, set[int]()

    def measure_entries(inside: int, depth: int) -> None:
        with os.scandir(inside) as entries:
            for entry in entries:
                wait()
                with suppress(FileNotFoundError, NotADirectoryError):  # skip a file that was removed or replaced
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
            raise FileNotFoundError from error  # the caller skips a replaced folder
        try:
            measure_entries(subfolder, depth)
        finally:
            os.close(subfolder)

    measure_entries(folder, 0)
    usage.bytes += os.fstat(folder).st_blocks * BLOCK
    usage.at = time.time()
    return usage


class Scanner:
    """A thread that measures all folders at a regular interval, one folder after another."""

    def __init__(self, storage: Storage, interval: float, rate: float) -> None:
        self._storage, self._interval, self._rate = storage, interval, rate
        self._file = storage.own / "usage.json"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage")
        self.report = Report.read(self._file)
        self.scanning = False

    def start(self) -> None:
        """Start the thread that scans the folders."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the scan at the next file, save the report and wait for the end of the thread."""
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
        except OSError as error:  # the disk is broken, or an export is missing during a restore
            seconds = min(self._interval, RETRY_SECONDS)
            logger.warning("cannot measure the folders, retry in %d s: %s", seconds, error)
            self._stop.wait(seconds)

    def _seconds_until_due(self) -> float:
        if self.report.finished < self.report.started:  # the last scan is incomplete, so continue it
            return 0
        # If the clock was set back, the start of the last scan is in the future. min() limits the wait in this case.
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
        """Measure the folders that this scan has not measured yet, and save the report every few seconds."""
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
        except OSError:  # the entry was removed, or is not a folder
            return
        try:
            usage = measure(folder, limiter.wait)
        except OSError as error:
            logger.warning("cannot measure %s: %s", path, error.strerror)
            return
        finally:
            os.close(folder)
        # Create a new dictionary, because another thread may iterate over the old one for a metrics request.
        self.report.folders = {**self.report.folders, key: usage}


def use_idle_priority() -> None:
    """Lower the priority of this thread, so that it uses the processor and the disk only when they are idle."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
    if libc.syscall(IOPRIO_SET, IOPRIO_WHO_PROCESS, 0, IDLE):
        logger.warning("cannot lower the disk priority of the scan: %s", os.strerror(ctypes.get_errno()))
