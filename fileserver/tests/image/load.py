"""Somebody who writes while the server is killed: a program for the machine with the NFS client.

`python load.py FOLDER SECONDS` appends records to a file, each synced, and says how far it is; beside it one copies
large files without syncing, and two locks are held. It ends SECONDS after the longest pause of more than a second that
it has met, and prints that pause and what it finds.
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
from typing import Any

RECORD = 4096
PAUSE = 1.0
PATIENCE = 100


def record(number: int) -> bytes:
    """Give a record, by which it is known."""
    return f"{number:08}".encode() * (RECORD // 8)


def tell(**what: Any) -> None:
    """Print a line."""
    print(json.dumps(what), flush=True)


def can_lock(path: Path, whole_file: bool) -> bool:
    """Tell, from a process of its own, whether nobody has the lock."""
    pid = os.fork()
    if pid == 0:
        with path.open("r+") as file:
            try:
                (fcntl.flock if whole_file else fcntl.lockf)(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def copy(path: Path, stop: threading.Event, digests: dict[str, str]) -> None:
    """Write files of 16 MiB, one after the other, each left to the kernel to write back."""
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


def append(path: Path, seconds: float) -> tuple[int, float]:
    """Append records until the pause is over; give how many, and the longest pause."""
    count, longest, over, begun = 0, 0.0, 0.0, time.monotonic()
    with path.open("ab", buffering=0) as file:
        while not over or time.monotonic() - over < seconds:
            start = time.monotonic()
            file.write(record(count))
            os.fsync(file.fileno())
            count += 1
            took = time.monotonic() - start
            if took > PAUSE and took > longest:
                longest, over = took, time.monotonic()
            if count % 20 == 0:
                tell(synced=count)
            assert time.monotonic() - begun < PATIENCE, "nobody killed the server"
    return count, longest


def main() -> None:
    """Write, be interrupted, and look at what is there."""
    folder, seconds = Path(sys.argv[1]), float(sys.argv[2])
    (folder / "early").write_bytes(b"early" * 1000)
    early = (folder / "early").open("rb")
    locks = {name: (folder / name).open("w+") for name in ("lockf", "flock")}
    fcntl.lockf(locks["lockf"].fileno(), fcntl.LOCK_EX)
    fcntl.flock(locks["flock"].fileno(), fcntl.LOCK_EX)
    stop, digests = threading.Event(), dict[str, str]()
    copying = threading.Thread(target=copy, args=(folder, stop, digests))
    copying.start()
    try:
        count, pause = append(folder / "records", seconds)
    finally:
        stop.set()
        copying.join()
    written = b"".join(record(number) for number in range(count))
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")  # from here on it is the server that answers
    tell(
        count=count,
        pause=round(pause, 1),
        records=(folder / "records").read_bytes() == written,
        copies={name: hashlib.sha256((folder / name).read_bytes()).hexdigest() == is_ for name, is_ in digests.items()},
        early=early.read() == b"early" * 1000,
        locked={name: not can_lock(folder / name, name == "flock") for name in locks},
    )
    for file in locks.values():
        file.close()
    tell(free={name: can_lock(folder / name, name == "flock") for name in locks})


if __name__ == "__main__":
    main()
