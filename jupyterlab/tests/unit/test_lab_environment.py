"""Tests of the environment variables, folders and errors of the command `lab`, which the tests run as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHOW = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]


def run_lab(*command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `lab COMMAND ...`. The process gets only PATH and the variables in `environ`."""
    return subprocess.run(
        [sys.executable, "-m", "lsstlab", *command],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_gets_private_folders(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    done = run_lab(*SHOW, HOME=str(tmp_path), LAB_SCRATCH=str(scratch))
    environ = json.loads(done.stdout)
    assert environ["JUPYTER_RUNTIME_DIR"] == str(scratch / "runtime")
    assert environ["JUPYTERLAB_WORKSPACES_DIR"] == str(scratch / "workspaces")
    assert [(scratch / name).stat().st_mode & 0o777 for name in ("", "runtime")] == [0o700, 0o700]


def test_a_new_home_gets_an_explained_user_setups(tmp_path: Path) -> None:
    run_lab(*SHOW, HOME=str(tmp_path), LAB_SCRATCH=str(tmp_path / "s"))
    setups = tmp_path / "notebooks" / ".user_setups"
    assert "LSST_Stack" in setups.read_text()
    setups.write_text("mine")
    run_lab(*SHOW, HOME=str(tmp_path), LAB_SCRATCH=str(tmp_path / "s"))
    assert setups.read_text() == "mine"


def test_a_new_home_gets_the_systems_files_and_stays_private(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    run_lab(*SHOW, HOME=str(home), LAB_SCRATCH=str(tmp_path / "s"))
    first = {path.name for path in Path("/etc/skel").iterdir()}
    assert first
    assert {path.name for path in home.iterdir()} == first | {"notebooks"}
    assert home.stat().st_mode & 0o777 == 0o700
    (home / ".bashrc").unlink()
    run_lab(*SHOW, HOME=str(home), LAB_SCRATCH=str(tmp_path / "s"))
    assert not (home / ".bashrc").exists(), "the lab restored a file that the user had removed"


def test_a_home_that_cannot_be_written_does_not_stop_the_lab(tmp_path: Path) -> None:
    done = run_lab(*SHOW, HOME="/proc/self", LAB_SCRATCH=str(tmp_path))
    assert done.returncode == 0


def test_the_scratch_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to create a folder that belongs to another user")
    os.chown(tmp_path, 12345, 12345)
    done = run_lab(*SHOW, LAB_SCRATCH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == f"lab: LAB_SCRATCH: {tmp_path} is not a folder that you own: set it to another folder\n"


def test_a_scratch_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    done = run_lab(*SHOW, LAB_SCRATCH=str(tmp_path / "link"))
    assert "is not a folder that you own" in done.stderr


def test_missing_command_is_reported_in_one_line() -> None:
    done = run_lab("no-such-command")
    assert (done.returncode, done.stderr) == (1, "lab: no-such-command: No such file or directory\n")


def test_wrong_limit_is_reported_in_one_line(tmp_path: Path) -> None:
    limit = {"LAB_IDLE_SECONDS": "4h", "JUPYTERHUB_API_TOKEN": "x"}
    done = run_lab(HOME=str(tmp_path), LAB_SCRATCH=str(tmp_path / "s"), **limit)
    line = "lab: LAB_IDLE_SECONDS: found '4h', wanted a whole number of seconds, 1 or more\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_a_spawned_lab_becomes_the_single_user_server(tmp_path: Path) -> None:
    # The single-user server exits with an error, because other variables that a hub sets are missing. This error shows
    # that `lab` has started the single-user server.
    done = run_lab(HOME=str(tmp_path), LAB_SCRATCH=str(tmp_path / "s"), JUPYTERHUB_API_TOKEN="x")
    assert "JUPYTERHUB_SERVICE_URL" in done.stderr or "jupyterhub-singleuser" in done.stderr
