"""Checks of file locks, and of SQLite, which depends on file locks."""

from __future__ import annotations

import errno
import fcntl
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fileserver.tests.image.client.registry import OtherProcess, Share, call_in_another_process, check


def can_lock(lock: Callable[[int, int], None], path: Path) -> bool:
    """Return whether this process can lock the file, which is possible if no other process holds the lock."""
    with path.open("r+") as file:
        try:
            lock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            return False
        return True


def locks_exclude(lock: Callable[[int, int], None], path: Path) -> None:
    path.touch()
    assert call_in_another_process(can_lock, lock, path)
    with path.open("r+") as file:
        lock(file.fileno(), fcntl.LOCK_EX)
        assert not call_in_another_process(can_lock, lock, path)
        lock(file.fileno(), fcntl.LOCK_UN)
        assert call_in_another_process(can_lock, lock, path)


@check()
def flock_keeps_another_process_out(share: Share) -> None:
    locks_exclude(fcntl.flock, share.home / "flock")


@check()
def a_posix_lock_keeps_another_process_out(share: Share) -> None:
    locks_exclude(fcntl.lockf, share.home / "lockf")


def wait_for_lock(path: Path) -> float:
    with path.open("r+") as file:
        fcntl.lockf(file.fileno(), fcntl.LOCK_EX)
        return time.time()


@check()
def a_waiting_process_gets_a_released_lock(share: Share) -> None:
    path = share.home / "waited-for"
    path.touch()
    with path.open("r+") as file:
        fcntl.lockf(file.fileno(), fcntl.LOCK_EX)
        waiting = OtherProcess(wait_for_lock, path)
        time.sleep(0.5)  # let the other process start to wait, which the check cannot observe
        released = time.time()
        fcntl.lockf(file.fileno(), fcntl.LOCK_UN)
        assert released <= waiting.result()


def insert(path: Path, first: int, count: int) -> None:
    with closing(sqlite3.connect(path, timeout=60)) as database:
        for number in range(first, first + count):
            with database:
                database.execute("INSERT INTO t VALUES (?)", (number,))


@check()
def two_processes_write_into_one_sqlite_database(share: Share) -> None:
    path = share.home / "database"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    for other in [OtherProcess(insert, path, first, 25) for first in (0, 1000)]:
        other.result()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM t").fetchone() == (50,)
