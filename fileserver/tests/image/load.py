"""A program that runs on the NFS client and writes files while the server is killed: `python load.py FOLDER SECONDS`.

The program appends records to a file, syncs each record, and prints the number of synced records. At the same time the
program holds two locks, and a thread writes large files without syncing. If a record takes more than a second, its
duration counts as a pause. The program stops writing SECONDS after the end of the longest pause so far. Then it prints
the length of this pause, and whether the files and locks are intact.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

RECORD = 4096
PAUSE = 1.0
TIMEOUT = 100


def create_record(number: int) -> bytes:
    """Return a record that contains its number."""
    return f"{number:08}".encode() * (RECORD // 8)


def print_fields(**fields: Any) -> None:
    """Print the fields as a line of JSON."""
    print(json.dumps(fields), flush=True)


def can_lock(path: Path, whole_file: bool) -> bool:
    """Return whether a file is unlocked. A child process tries to lock the file, with flock or with a POSIX lock."""
    pid = os.fork()
    if pid == 0:
        with path.open("r+") as file:
            try:
                (fcntl.flock if whole_file else fcntl.lockf)(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def is_reclaimed(file: IO[str]) -> bool:
    """Return whether the server knows the lock of a file. The client refuses writes to a file whose lock is lost."""
    try:
        os.write(file.fileno(), b"locked")
        os.fsync(file.fileno())
    except OSError:
        return False
    return True


def write_large_files(path: Path, stop: threading.Event, digests: dict[str, str]) -> None:
    """Write files of 16 MiB, one after the other, without syncing them."""
    number = 0
    while not stop.is_set():
        number += 1
        file, digest = path / f"copy-{number % 4}", hashlib.sha256()
        with file.open("wb") as out:
            for _ in range(16):
                block = os.urandom(2**20)
                digest.update(block)
                out.write(block)
        digests[file.name] = digest.hexdigest()


def append_records(path: Path, seconds: float) -> tuple[int, float]:
    """Append records until `seconds` after the longest pause.

    Return the number of records and the length of the pause.
    """
    count, longest, pause_end, started = 0, 0.0, 0.0, time.monotonic()
    with path.open("ab", buffering=0) as file:
        while not pause_end or time.monotonic() - pause_end < seconds:
            start = time.monotonic()
            file.write(create_record(count))
            os.fsync(file.fileno())
            count += 1
            duration = time.monotonic() - start
            if duration > PAUSE and duration > longest:
                longest, pause_end = duration, time.monotonic()
            if count % 20 == 0:
                print_fields(synced=count)
            assert time.monotonic() - started < TIMEOUT, "no write paused: the server was not killed"
    return count, longest


def main() -> None:
    """Write files until the server has been killed and restarted. Then check the files and locks."""
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    (folder / "early").write_bytes(b"early" * 1000)
    early = (folder / "early").open("rb")
    locks = {name: (folder / name).open("w+") for name in ("lockf", "flock")}
    fcntl.lockf(locks["lockf"].fileno(), fcntl.LOCK_EX)
    fcntl.flock(locks["flock"].fileno(), fcntl.LOCK_EX)
    stop, digests = threading.Event(), dict[str, str]()
    copying = threading.Thread(target=write_large_files, args=(folder, stop, digests))
    copying.start()
    try:
        count, pause = append_records(folder / "records", seconds)
    finally:
        stop.set()
        copying.join()
    written = b"".join(create_record(number) for number in range(count))
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")  # so that reads do not use the client's cache
    print_fields(
        count=count,
        pause=round(pause, 1),
        records=(folder / "records").read_bytes() == written,
        copies={
            name: hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in digests.items()
        },
        early=early.read() == b"early" * 1000,
        locked={name: not can_lock(folder / name, name == "flock") for name in locks},
        reclaimed={name: is_reclaimed(file) for name, file in locks.items()},
    )
    for file in locks.values():
        file.close()
    print_fields(free={name: can_lock(folder / name, name == "flock") for name in locks})


if __name__ == "__main__":
    main()
