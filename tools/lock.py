"""Write every lock of the repository anew: `nox -s lock`.

A lock is a `requirements.txt` beside its `requirements.in`, with the hash of every file and for every
Python from 3.11 on, or a `package-lock.json` beside its `package.json`. They are found on disk.
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
    """List the tracked or new files of this name, a folder before the folders inside it.

    That order matters: a component's tests are locked to the versions that the component is locked to.
    """
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern, f"**/{pattern}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    # What lies in `share` is installed as it is: the package.json of JupyterLab's extensions there needs nothing else.
    found = [path for line in listed.stdout.split() if "share" not in (path := Path(line)).parts]
    return sorted(found, key=lambda path: len(path.parts))


def lock_python(source: Path, upgrade: bool) -> None:
    """Resolve one requirements.in; what it asks to leave out stands in the repository's uv.toml."""
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
    """Resolve one package.json; only its hashes are kept, not the host that served the packages."""
    subprocess.run(
        ["npm", "update" if upgrade else "install", "--package-lock-only", "--omit-lockfile-registry-resolved"],
        cwd=ROOT / source.parent,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def main() -> None:
    """Lock everything, or say which tool is missing."""
    parser = argparse.ArgumentParser(prog=f"{COMMAND} --", description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
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
