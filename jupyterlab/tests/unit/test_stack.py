"""Tests of the stack's shell functions, such as `setup`, and of the recorded environment, in a real bash."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from lsstlab import stack_snapshot

STACK = Path(__file__).parents[2] / "stack"
TABLE = "daf_butler 30.1 /stack/daf/butler\nutils 30.2 /stack/utils\n"


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Create the folder of a stack with two products, without the packages, and return the folder."""
    folder = tmp_path / "it's a stack"
    (folder / "python" / "bin").mkdir(parents=True)
    for name in ("loadLSST.bash", "missing.txt"):
        (folder / name).write_text((STACK / name).read_text())
    (folder / "products.txt").write_text(TABLE)
    return folder


def bash(stack: Path, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a script in bash after sourcing the stack's loadLSST.bash, and return the result."""
    return subprocess.run(
        ["bash", *options, "-c", f'. "$0/loadLSST.bash"; {script}', str(stack)],
        env={"PATH": os.environ["PATH"], "HOME": str(stack)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_lsst_distrib_sets_up_every_available_product(stack: Path) -> None:
    done = bash(stack, "setup lsst_distrib; echo $SETUP_LSST_DISTRIB, $SETUP_UTILS, $DAF_BUTLER_DIR")
    assert done.stdout == "lsst_distrib pypi_30.1, utils 30.2, /stack/daf/butler\n"
    assert done.stderr == ""


def test_interactive_setup_names_missing_products(stack: Path) -> None:
    done = bash(stack, "setup lsst_distrib", "--norc", "-i")
    assert "from PyPI (30.1): daf_butler utils" in done.stderr.replace("\n", "")
    assert "not in this stack: afw " in done.stderr


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("setup afw", 1, "afw is a product of lsst_distrib, but not in this stack"),
        ("setup no_such", 1, "no product no_such. This stack has: daf_butler utils"),
        ("setup utils 29", 1, "this stack has version 30.2 of utils, not 29"),
        ("setup -t w_latest utils", 2, "no tags"),
        ("setup -X utils", 2, "does not support option -X"),
        ("setup", 2, "usage"),
        ("setup -r", 2, "usage"),
        ("setup -r /no/such", 1, "cannot open folder /no/such"),
        ("unsetup", 2, "usage"),
        ("eups declare x", 2, 'supports only "eups list"'),
    ],
)
def test_refused_command_names_the_reason(stack: Path, command: str, status: int, message: str) -> None:
    done = bash(stack, command)
    assert done.returncode == status
    assert message in done.stderr


def test_local_checkout_comes_first(stack: Path, tmp_path: Path) -> None:
    (tmp_path / "my-package" / "python").mkdir(parents=True)
    done = bash(stack, f"setup -k -r {tmp_path}/my-package; echo $PYTHONPATH $MY_PACKAGE_DIR")
    assert done.stdout == f"{tmp_path}/my-package/python {tmp_path}/my-package\n"


def test_unsetup_undoes_a_setup(stack: Path) -> None:
    done = bash(stack, "setup utils; eups list; unsetup utils; echo ${UTILS_DIR-none}; eups list")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines == [
        ["daf_butler", "30.1"],
        ["utils", "30.2", "setup"],
        ["none"],
        ["daf_butler", "30.1"],
        ["utils", "30.2"],
    ]


def test_loading_twice_changes_the_path_once(stack: Path) -> None:
    done = bash(stack, 'before=$PATH; . "$0/loadLSST.bash"; [ "$before" = "$PATH" ] && echo same')
    assert done.stdout == "same\n"


def test_snapshot_equals_the_result_of_setup(stack: Path, tmp_path: Path) -> None:
    variables, functions = stack_snapshot.record_environment(stack, "/made-up-home")
    (tmp_path / "environment.bash").write_text(stack_snapshot.format_script(variables, functions, "/made-up-home"))
    show = "setup utils; env | grep -vE '^(_|SHLVL|PWD|BASH_FUNC)' | sort"
    slow = bash(stack, f"setup lsst_distrib; {show}")
    fast = subprocess.run(
        ["bash", "-c", f". {tmp_path}/environment.bash; {show}"],
        env={"PATH": os.environ["PATH"], "HOME": str(stack)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert fast.stdout == slow.stdout


def test_the_snapshot_uses_the_sessions_home_and_paths() -> None:
    value = "/build-home/.eups:it's"
    text = stack_snapshot.format_export("EUPS_USERDATA", value, "/build-home") + "\n"
    text += stack_snapshot.format_export("PYTHONPATH", "/stack/python", "/build-home") + "\n"
    done = subprocess.run(
        ["bash", "-c", text + 'echo "$EUPS_USERDATA $PYTHONPATH"'],
        env={"HOME": "/home/vera", "PYTHONPATH": "/mine"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "/home/vera/.eups:it's /stack/python:/mine\n"


def test_a_stack_that_cannot_be_set_up_stops_the_snapshot(tmp_path: Path) -> None:
    (tmp_path / "loadLSST.bash").write_text("echo this stack is broken >&2; return 1")
    with pytest.raises(stack_snapshot.SnapshotError, match="this stack is broken"):
        stack_snapshot.record_environment(tmp_path, "/made-up-home")
