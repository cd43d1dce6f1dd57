"""The workload of the fileserver benchmark: `python work.py FOLDER` prints its times in seconds as a line of JSON.

The program imports only the standard library, because it runs on the NFS client and in the server's container.
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
    """Drop the kernel's file cache if the variable FORGET is set.

    FORGET is set only on the NFS client. For the bare disk, the workload runs on the server, whose cache must stay.
    """
    if os.environ.get("FORGET"):
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")


def write_large(file: Path) -> None:
    """Write a large file, and sync it to the disk."""
    block = os.urandom(2**20)
    with file.open("wb", buffering=0) as out:
        for _ in range(MEGABYTES):
            out.write(block)
        os.fsync(out.fileno())


def read_large(file: Path) -> None:
    """Read the whole large file."""
    with file.open("rb", buffering=0) as source:
        while source.read(2**20):
            pass


def make_small(folder: Path) -> None:
    """Create many small files, as programs do that unpack an archive or clone a repository."""
    folder.mkdir()
    for number in range(FILES):
        (folder / str(number)).write_bytes(SMALL)


def read_small(folder: Path) -> None:
    """List the folder of the small files, and read each file."""
    for name in sorted(os.listdir(folder)):
        (folder / name).read_bytes()


def stat_small(folder: Path) -> None:
    """List the folder of the small files, and call stat for each file, as `ls -l` and `git status` do."""
    for name in os.listdir(folder):
        (folder / name).stat()


def save_small(folder: Path) -> None:
    """Replace small files with new, synced files, as JupyterLab does when it saves a notebook."""
    for number in range(SAVED_FILES):
        with (folder / f"{number}.new").open("wb") as out:
            out.write(SMALL)
            out.flush()
            os.fsync(out.fileno())
        (folder / f"{number}.new").replace(folder / str(number))


def main() -> None:
    """Run all steps of the workload, and print the seconds of each step."""
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
    os.sync()  # sync, because pending writes would slow down the next measurement
    print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
