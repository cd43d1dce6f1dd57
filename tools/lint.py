"""Check style with all linters, and list those that found problems: `nox -s lint`.

`nox -s lint -- --fix` fixes what ruff can fix, and writes the copies of `shared/`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.shared_code import ROOT, write_copies
from tools.tree_rules import find_problems
from tools.word_rules import find_word_problems

ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"


def tracked() -> list[Path]:
    """Return the tracked and new files of the checkout, without ignored files."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def is_shell(path: Path) -> bool:
    """Return whether a file is a shell script, by its name or its first line."""
    if path.suffix in {".bash", ".sh"}:
        return True
    with (ROOT / path).open("rb") as file:
        return file.readline().rstrip() in {b"#!/usr/bin/env bash", b"#!/bin/bash", b"#!/bin/sh"}


def linters(files: list[Path], fix: bool) -> dict[str, list[str]]:
    """Return the command of each linter that has files to check."""
    docker = [str(path) for path in files if path.name == "Dockerfile"]
    shell = [str(path) for path in files if is_shell(path)]
    yaml = [str(path) for path in files if path.suffix in {".yaml", ".yml"}]
    workflows = [str(path) for path in files if path.parent == Path(".github/workflows")]
    commands = {
        "ruff check": ["ruff", "check", *(["--fix"] if fix else []), "."],
        "ruff format": ["ruff", "format", *([] if fix else ["--check"]), "."],
        "import-linter": ["lint-imports"],
        "hadolint": ["hadolint", *docker],
        "shellcheck": ["shellcheck", "--shell=bash", *shell],
        "yamllint": ["yamllint", "--strict", *yaml],
    }
    if workflows:
        commands["actionlint"] = actionlint(workflows)
    return {name: command for name, command in commands.items() if command[1:] or name == "import-linter"}


def actionlint(workflows: list[str]) -> list[str]:
    """Return the command of actionlint, a Go program that is not on PyPI."""
    if program := shutil.which("actionlint"):
        return [program, *workflows]
    if shutil.which("go"):
        return ["go", "run", ACTIONLINT, *workflows]
    message = "actionlint is missing: install Go (Debian: apt install golang-go) or actionlint"
    return ["sh", "-c", f'echo "{message}" >&2; exit {1 if os.environ.get("CI") else 0}']


def main() -> None:
    """Run all linters, and exit with an error if one finds problems."""
    parser = argparse.ArgumentParser(prog="nox -s lint --", description=__doc__)
    parser.add_argument("--fix", action="store_true", help="fix what ruff can fix, and write the copies of shared/")
    fix = parser.parse_args().fix
    if fix:
        write_copies()
    files = tracked()
    print("lint: tree rules", flush=True)
    problems = find_problems(files) + find_word_problems(files)
    print("".join(f"{problem}\n" for problem in problems), end="")
    failed = ["tree rules"] if problems else []
    for name, command in linters(files, fix).items():
        print(f"lint: {name}", flush=True)
        # import-linter finds the packages on this path.
        environ = os.environ | {"PYTHONPATH": ":".join(str(path) for path in ROOT.glob("*/src"))}
        if subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"lint: problems found by {', '.join(failed)}")


if __name__ == "__main__":
    main()
