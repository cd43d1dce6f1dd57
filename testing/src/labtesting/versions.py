"""Simulated versions of installed packages: a folder with other metadata, which a test puts first on PYTHONPATH."""

from __future__ import annotations

from pathlib import Path

UNTESTED = "99.0"


def fake_version(folder: Path, *distributions: str, version: str = UNTESTED) -> Path:
    """Create the metadata of one version for each distribution, and return the folder for PYTHONPATH.

    `importlib.metadata` reports the version that is first on the path. Imports still load the installed package.
    """
    for name in distributions:
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder
