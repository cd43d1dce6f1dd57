"""A function that finds running programs on this machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def find_programs(home: str) -> list[int]:
    """Return the ids of the processes whose environment variable HOME has this value."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):  # the program has just ended, or belongs to another user
            variables = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
            if f"HOME={home}".encode() in variables:
                found.append(int(name))
    return found
