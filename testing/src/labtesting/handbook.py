"""The commands in the documentation. Tests run these commands as an administrator does."""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path

BLOCK = re.compile(r"^( *)```sh\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


def read_commands(page: Path, heading: str) -> list[str]:
    """Return the blocks of commands below a heading, up to the next heading of the same or a higher level.

    Raises
    ------
    AssertionError
        Raised if the page has no such heading.
    """
    found = re.search(rf"^(#+) {re.escape(heading)}$", page.read_text(), re.MULTILINE)
    assert found, f"{page} has no heading {heading!r}"
    rest = page.read_text()[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return [textwrap.dedent(block[2]) for block in BLOCK.finditer(rest[: end.start()] if end else rest)]


def run_commands(commands: str, folder: Path) -> str:
    """Run a block of commands in a folder, and return its output.

    Raises
    ------
    AssertionError
        Raised if a command fails. The message has the output.
    """
    command = ["bash", "-euo", "pipefail", "-c", commands]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
    return done.stdout
