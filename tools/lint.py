"""Check style with every linter, and say at the end which of them complained: `nox -s lint`.

`nox -s lint -- --fix` lets ruff fix what it can, and writes the copies of `shared/`.
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

ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"


def tracked() -> list[Path]:
    """List the files of the checkout, new ones too, without what is ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def is_shell(path: Path) -> bool:
    """Tell whether a file is a shell script, by its name or its first line."""
    if path.suffix in {".bash", ".sh"}:
        return True
    with (ROOT / path).open("rb") as file:
        return file.readline().rstrip() in {b"#!/usr/bin/env bash", b"#!/bin/bash", b"#!/bin/sh"}


def linters(files: list[Path], fix: bool) -> dict[str, list[str]]:
    """Give each linter's command; one whose files are not there is left out."""
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
    """Give actionlint's command; it is a Go program that PyPI has no binary of."""
    if found := shutil.which("actionlint"):
        return [found, *workflows]
    if shutil.which("go"):
        return ["go", "run", ACTIONLINT, *workflows]
    message = f"actionlint is missing: install Go, or actionlint itself (go install {ACTIONLINT})"
    return ["sh", "-c", f'echo "{message}" >&2; exit {1 if os.environ.get("CI") else 0}']


def main() -> None:
    """Run all linters; fail if one complained."""
    parser = argparse.ArgumentParser(prog="nox -s lint --", description=__doc__)
    parser.add_argument("--fix", action="store_true", help="mend what can be mended")
    fix = parser.parse_args().fix
    if fix:
        write_copies()
    files = tracked()
    print("lint: tree rules", flush=True)
    problems = find_problems(files)
    print("".join(f"{problem}\n" for problem in problems), end="")
    complained = ["tree rules"] if problems else []
    for name, command in linters(files, fix).items():
        print(f"lint: {name}", flush=True)
        # import-linter looks for the packages it is told of on this path.
        environ = os.environ | {"PYTHONPATH": ":".join(str(path) for path in ROOT.glob("*/src"))}
        if subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode:
            complained.append(name)
    if complained:
        sys.exit(f"lint: {', '.join(complained)} complained")


if __name__ == "__main__":
    main()
