"""Tests of the program `labadmin` in a shell: help, exit status, working folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import labadmin
import pytest
from labadmin.__main__ import COMMANDS
from labadmin.checkout import ROOT, read_version

from tools.components import ROOT as CHECKOUT
from tools.components import version

PROGRAM = Path(sys.executable).parent / "labadmin"


def run(*arguments: str, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the installed program `labadmin`, and return its result."""
    return subprocess.run(
        [PROGRAM, *arguments], cwd=cwd, env=os.environ | environ, capture_output=True, text=True, check=False
    )


def test_help_lists_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert set(COMMANDS) == {"configure", "doctor", "uninstall"}
    assert all(f"    {name}" in done.stdout for name in COMMANDS)
    assert all(command.SUMMARY in done.stdout for command in COMMANDS.values())


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("configure", ("--output", "--rotate")),
        ("doctor", ("--json", "--only", "--context")),
        ("uninstall", ("--yes", "--context")),
    ],
    ids=["configure", "doctor", "uninstall"],
)
def test_a_command_has_its_own_help(command: str, options: tuple[str, ...]) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: labadmin {command} ")
    assert all(option in done.stdout for option in options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("install",), "invalid choice: 'install'"),
        (("configure", "a", "b"), "unrecognized arguments: b"),
        (("doctor", "--fix"), "unrecognized arguments: --fix"),
    ],
    ids=["no command", "unknown command", "surplus argument", "unknown option"],
)
def test_wrong_usage_exits_with_2(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: labadmin")
    assert message in done.stderr


def test_an_error_exits_with_1_in_one_line(tmp_path: Path) -> None:
    done = run("configure", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "site.toml: missing: start with `cp site.example.toml site.toml`, and edit the copy\n"


def test_command_uses_the_checkout_that_contains_it() -> None:
    assert ROOT == CHECKOUT
    assert read_version() == version()


def test_missing_checkout_is_reported_with_a_fix(tmp_path: Path) -> None:
    package = tmp_path / "lib/python/site-packages/labadmin"
    shutil.copytree(Path(labadmin.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run(
        [sys.executable, "-m", "labadmin", "configure"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"labadmin: found no hub/kubernetes in {tmp_path}")
    assert "pip install -e admin" in done.stderr
