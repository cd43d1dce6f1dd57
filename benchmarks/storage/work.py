"""What is measured, on any folder: `python work.py FOLDER` prints a line of JSON. The standard library will do."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

MEGABYTES = 192
FILES = 400
SMALL = b"x" * 4096


def forget() -> None:
    """Drop what the client's kernel has in its memory; on the bare disk that would be what the server has, too."""
    if os.environ.get("FORGET"):
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")


def write_large(file: Path) -> None:
    """Write a large file, and have it on the disk."""
    block = os.urandom(2**20)
    with file.open("wb", buffering=0) as out:
        for _ in range(MEGABYTES):
            out.write(block)
        os.fsync(out.fileno())


def read_large(file: Path) -> None:
    """Read it."""
    with file.open("rb", buffering=0) as source:
        while source.read(2**20):
            pass


def make_small(folder: Path) -> None:
    """Make small files, as unpacking or cloning does."""
    folder.mkdir()
    for number in range(FILES):
        (folder / str(number)).write_bytes(SMALL)


def read_small(folder: Path) -> None:
    """List them, and read each."""
    for name in sorted(os.listdir(folder)):
        (folder / name).read_bytes()


def look_at_small(folder: Path) -> None:
    """Look at each, as `ls -l` and `git status` do."""
    for name in os.listdir(folder):
        (folder / name).stat()


def save_small(folder: Path) -> None:
    """Write some over and have each on the disk, as saving a notebook does."""
    for number in range(FILES // 4):
        with (folder / f"{number}.new").open("wb") as out:
            out.write(SMALL)
            out.flush()
            os.fsync(out.fileno())
        (folder / f"{number}.new").replace(folder / str(number))


def main() -> None:
    """Measure each, in seconds."""
    folder = Path(sys.argv[1]) / "bench"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    steps = (
        ("large file written", write_large, folder / "large"),
        ("large file read", read_large, folder / "large"),
        ("small files made", make_small, folder / "small"),
        ("small files read", read_small, folder / "small"),
        ("small files looked at", look_at_small, folder / "small"),
        ("small files saved", save_small, folder / "small"),
    )
    seconds = {}
    for name, step, path in steps:
        forget()
        start = time.perf_counter()
        step(path)
        seconds[name] = time.perf_counter() - start
    shutil.rmtree(folder)
    print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
