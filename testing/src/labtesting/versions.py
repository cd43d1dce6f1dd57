"""Simulated versions of installed packages: a test adds a folder with changed metadata to the start of PYTHONPATH."""

from __future__ import annotations

from pathlib import Path

UNTESTED = "99.0"


def fake_version(folder: Path, *distributions: str, version: str = UNTESTED) -> Path:
    """Create metadata that simulates this version of each distribution, and return the folder for PYTHONPATH.

    `importlib.metadata` reports the version in the first folder of the path. Imports still load the installed packages.
    """
    for name in distributions:
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder
