"""Write all locks of the repository: `nox -s lock`.

For each `requirements.in` it writes a `requirements.txt` with hashes, for Python 3.11 and newer. For each
`package.json` it writes a `package-lock.json`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMAND = "nox -s lock"


def sources(pattern: str) -> list[Path]:
    """Return the tracked and new files of this name, a folder before its subfolders.

    The order matters, because the lock of a component's tests uses the versions of the component's lock.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern, f"**/{pattern}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    # A package.json in `share` belongs to a built JupyterLab extension, which has no dependencies to lock.
    paths = [path for line in listed.stdout.split() if "share" not in (path := Path(line)).parts]
    return sorted(paths, key=lambda path: len(path.parts))


def lock_python(source: Path, upgrade: bool) -> None:
    """Write the lock of one requirements.in. The repository's uv.toml lists the excluded packages."""
    subprocess.run(
        [
            *("uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes"),
            *("--python-version", "3.11", "--no-emit-index-url", "--custom-compile-command", COMMAND),
            *("--output-file", source.with_suffix(".txt"), source),
            *(["--upgrade"] if upgrade else []),
        ],
        cwd=ROOT,
        check=True,
    )


def lock_node(source: Path, upgrade: bool) -> None:
    """Write the lock of one package.json, with hashes and without the host of the registry."""
    subprocess.run(
        ["npm", "update" if upgrade else "install", "--package-lock-only", "--omit-lockfile-registry-resolved"],
        cwd=ROOT / source.parent,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def main() -> None:
    """Write all locks. If a tool is missing, exit with a message."""
    parser = argparse.ArgumentParser(prog=f"{COMMAND} --", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="update all packages to the newest versions")
    upgrade = parser.parse_args().upgrade
    for source in sources("requirements.in"):
        print(f"lock: {source}", flush=True)
        lock_python(source, upgrade)
    for source in sources("package.json"):
        print(f"lock: {source}", flush=True)
        if shutil.which("npm") is None:
            sys.exit(f"lock: {source} needs npm: install Node.js (Debian: apt install npm)")
        lock_node(source, upgrade)


if __name__ == "__main__":
    main()
