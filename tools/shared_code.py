"""Copies of `shared/` in the components, because `docker build <component>` can read only the component's folder."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "shared"
LAB = ("__init__.py", "json_logs.py", "secret_files.py", "version_guard.py")
WITH_SERVER = (*LAB, "logging_server.py", "probe_server.py")
PROXY = ("proxy-limits.mjs", "start-proxy")
# The files of `shared/` that each component uses
COPIES = {
    "fileserver/src/labfiles/shared": WITH_SERVER,
    "hub/proxy": PROXY,
    "hub/src/labhub/shared": WITH_SERVER,
    "jupyterlab/proxy": PROXY,
    "jupyterlab/src/lsstlab/shared": LAB,
    "logstashrmq/src/beatsrelay/shared": WITH_SERVER,
}


def wanted_copies(root: Path = ROOT) -> dict[Path, str]:
    """Return the path of each copy and the text that it must have."""
    source = root / SOURCE.name
    return {root / folder / name: (source / name).read_text() for folder, names in COPIES.items() for name in names}


def find_differences(root: Path = ROOT) -> list[Path]:
    """Return the copies that are missing or differ, and other modules in the folders that are for copies only."""
    wanted = wanted_copies(root)
    found = {path for folder in COPIES for path in (root / folder).glob("*.py")}
    differing = {path for path, text in wanted.items() if not path.exists() or path.read_text() != text}
    return sorted(differing | (found - wanted.keys()))


def write_copies(root: Path = ROOT) -> None:
    """Write all copies."""
    for path, text in wanted_copies(root).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod((root / SOURCE.name / path.name).stat().st_mode)
