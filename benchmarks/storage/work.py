"""The workload of the fileserver benchmark: `python work.py FOLDER` prints its times in seconds as a line of JSON.

It imports only the standard library, because it also runs on the NFS client and in the server's container.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

MEGABYTES = 192
FILES = 400
SAVED_FILES = FILES // 4
SMALL = b"x" * 4096


def forget() -> None:
    """Drop the cache of the client's kernel if FORGET is set.

    FORGET is not set for the bare disk: there the workload runs on the server, whose cache must stay.
    """
    if os.environ.get("FORGET"):
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")


def write_large(file: Path) -> None:
    """Write a large file, and sync it."""
    block = os.urandom(2**20)
    with file.open("wb", buffering=0) as out:
        for _ in range(MEGABYTES):
            out.write(block)
        os.fsync(out.fileno())


def read_large(file: Path) -> None:
    """Read the large file."""
    with file.open("rb", buffering=0) as source:
        while source.read(2**20):
            pass


def make_small(folder: Path) -> None:
    """Create small files, as unpacking an archive or cloning a repository does."""
    folder.mkdir()
    for number in range(FILES):
        (folder / str(number)).write_bytes(SMALL)


def read_small(folder: Path) -> None:
    """List the small files, and read each."""
    for name in sorted(os.listdir(folder)):
        (folder / name).read_bytes()


def stat_small(folder: Path) -> None:
    """List the small files, and stat each, as `ls -l` and `git status` do."""
    for name in os.listdir(folder):
        (folder / name).stat()


def save_small(folder: Path) -> None:
    """Replace small files by new, synced files, as saving a notebook does."""
    for number in range(SAVED_FILES):
        with (folder / f"{number}.new").open("wb") as out:
            out.write(SMALL)
            out.flush()
            os.fsync(out.fileno())
        (folder / f"{number}.new").replace(folder / str(number))


def main() -> None:
    """Run all steps, and print the seconds of each."""
    folder = Path(sys.argv[1]) / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    steps = (
        ("write and sync a large file", write_large, folder / "large"),
        ("read a large file", read_large, folder / "large"),
        ("create small files", make_small, folder / "small"),
        ("read small files", read_small, folder / "small"),
        ("stat small files", stat_small, folder / "small"),
        ("write, sync and rename small files", save_small, folder / "small"),
    )
    seconds = {}
    for name, step, path in steps:
        forget()
        start = time.perf_counter()
        step(path)
        seconds[name] = time.perf_counter() - start
    shutil.rmtree(folder)
    os.sync()  # so that pending writes do not slow down the next measurement
    print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
