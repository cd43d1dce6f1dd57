"""Tests that cells and programs can save files before their lab ends.

A cell or a program needs 3 s to save in these tests. Stock Jupyter Server would wait only 2.5 s.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from labtesting.hub_process import wait_until
from labtesting.labclient import PROMPT, SpawnedLab
from labtesting.programs import find_programs

Spawn = Callable[..., SpawnedLab]
SAVE = "time.sleep(3); pathlib.Path({path!r}).write_text('saved')"
# A program that saves a file when it gets a signal, and then exits. It creates the file `started` when its signal
# handler is set.
ON_SIGNAL = """\
import pathlib, signal, sys, time

def save(*_):
    {save}
    sys.exit()

signal.signal(signal.{signal}, save)
pathlib.Path({started!r}).touch()
time.sleep(1000)
"""
# A limit for the stop, less than 29 s. IPython's kernel would wait up to 29 s for zombies, which are child processes
# that have ended and for which the cell has not waited.
UPSTREAM_SECONDS = 25


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return the path of the file that a cell or program saves. The file does not exist yet."""
    return tmp_path / "saved"


@contextmanager
def stopping(lab: SpawnedLab) -> Iterator[None]:
    """Send SIGTERM to the lab at the end of the `with` block, as kubelet does. Check that the exit status is 0."""
    yield
    lab.process.terminate()
    assert lab.process.wait(180) == 0


def run_program(lab: SpawnedLab, folder: Path, signal: str, command: str, saved: Path) -> None:
    """Start a program that saves a file when it gets a signal, and wait until the program runs.

    Parameters
    ----------
    lab
        The lab in which to open a terminal.
    folder
        The folder for the script of the program.
    signal
        Name of the signal.
    command
        The command to type into the terminal. The placeholder `{}` stands for the program.
    saved
        Path of the file that the program saves.
    """
    script, started = folder / "program.py", folder / "started"
    script.write_text(ON_SIGNAL.format(save=SAVE.format(path=str(saved)), signal=signal, started=str(started)))
    with lab.client.terminal(close=False) as terminal:
        terminal.read_until(PROMPT)
        terminal.type(command.format(f"python3 {script}"))
        wait_until(started.exists, "the program runs")


@pytest.mark.parametrize(
    "ending",
    [
        "finally:\n    {save}",
        "except KeyboardInterrupt:\n    {save}",
        "finally:\n    subprocess.run(['sleep', '1'], check=True); {save}",
    ],
    ids=["finally", "KeyboardInterrupt", "with another program"],
)
def test_a_running_cell_saves(spawn: Spawn, saved: Path, tmp_path: Path, ending: str) -> None:
    started = tmp_path / "started"
    # Jupyter Server calls the kernel busy before the cell is inside its `try`, so the cell itself says that it runs.
    cell = "try:\n    pathlib.Path({started!r}).touch(); time.sleep(1000)\n" + ending
    code = cell.format(started=str(started), save=SAVE.format(path=str(saved)))
    lab = spawn(LAB_STOP_SECONDS="30")
    with stopping(lab), lab.client.kernel("python3", shut_down=False) as kernel:
        kernel.execute("import pathlib, subprocess, time")
        kernel.send("execute_request", {"code": code, "silent": False})
        wait_until(started.exists, "the cell runs")
    assert saved.read_text() == "saved"


def test_an_idle_kernel_saves_at_its_exit(spawn: Spawn, saved: Path) -> None:
    lab = spawn(LAB_STOP_SECONDS="30")
    with stopping(lab), lab.client.kernel("python3", shut_down=False) as kernel:
        save = f"def save():\n    {SAVE.format(path=str(saved))}"
        kernel.execute(f"import atexit, pathlib, time\n{save}\natexit.register(save)")
    assert saved.read_text() == "saved"


@pytest.mark.parametrize("call", ["Popen", "run"])
def test_a_program_of_a_kernel_saves(spawn: Spawn, saved: Path, tmp_path: Path, call: str) -> None:
    script, started = tmp_path / "program.py", tmp_path / "started"
    script.write_text(ON_SIGNAL.format(save=SAVE.format(path=str(saved)), signal="SIGTERM", started=str(started)))
    lab = spawn(LAB_STOP_SECONDS="30")
    with stopping(lab), lab.client.kernel("python3", shut_down=False) as kernel:
        cell = f"import subprocess, sys; subprocess.{call}([sys.executable, {str(script)!r}])"
        kernel.send("execute_request", {"code": cell, "silent": False})
        wait_until(started.exists, "the program runs")
    assert saved.read_text() == "saved"


def test_program_left_by_a_cell_delays_no_stop(spawn: Spawn) -> None:
    lab = spawn(LAB_STOP_SECONDS="600")
    with lab.client.kernel("python3", shut_down=False) as kernel:
        kernel.execute("import subprocess; left = subprocess.Popen(['sleep', '1000'])")
        lab.process.terminate()
        assert lab.process.wait(UPSTREAM_SECONDS) == 0


@pytest.mark.parametrize(
    ("signal", "command"),
    [
        ("SIGTERM", "{}"),
        ("SIGHUP", "{}"),
        ("SIGTERM", "{} &"),
        ("SIGTERM", "nohup {} &"),
        ("SIGTERM", "bash -c '{}; true'"),
    ],
    ids=["foreground", "hangup", "background", "nohup", "in a script"],
)
def test_a_program_of_a_terminal_saves(spawn: Spawn, saved: Path, tmp_path: Path, signal: str, command: str) -> None:
    lab = spawn(LAB_STOP_SECONDS="30")
    with stopping(lab):
        run_program(lab, tmp_path, signal, command, saved)
    assert saved.read_text() == "saved"


def test_a_stopped_program_of_a_terminal_saves(spawn: Spawn, saved: Path, tmp_path: Path) -> None:
    lab = spawn(LAB_STOP_SECONDS="30")
    with stopping(lab):
        run_program(lab, tmp_path, "SIGTERM", "bash -c 'setsid {} & wait'", saved)
        (program,) = (pid for pid in find_programs(str(tmp_path / "home")) if command_line(pid).startswith("python3"))
        os.kill(program, signal.SIGSTOP)
    assert saved.read_text() == "saved"


def command_line(pid: int) -> str:
    """Return the command line of a program."""
    return Path(f"/proc/{pid}/cmdline").read_text()


def test_a_stopped_kernel_saves_at_its_exit(spawn: Spawn, saved: Path) -> None:
    lab = spawn(LAB_STOP_SECONDS="30")
    with stopping(lab), lab.client.kernel("python3", shut_down=False) as kernel:
        save = f"def save():\n    {SAVE.format(path=str(saved))}"
        kernel.execute(f"import atexit, os, pathlib, time\n{save}\natexit.register(save)")
        pid = int(kernel.execute("print(os.getpid())").stdout)
        os.kill(pid, signal.SIGSTOP)
    assert saved.read_text() == "saved"


def test_a_kernel_that_ignores_the_stop_is_killed_in_time(spawn: Spawn, tmp_path: Path) -> None:
    lab = spawn(LAB_STOP_SECONDS="20")
    with stopping(lab), lab.client.kernel("python3", shut_down=False) as kernel:
        kernel.execute(
            "import signal, threading, time\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "threading.Thread(target=time.sleep, args=(1000,)).start()"
        )
    assert find_programs(str(tmp_path / "home")) == []


def test_a_lab_without_work_stops_at_once(spawn: Spawn) -> None:
    lab = spawn(LAB_STOP_SECONDS="600")
    with lab.client.kernel("python3", shut_down=False) as kernel, lab.client.terminal(close=False) as terminal:
        kernel.execute("x = 1")
        terminal.read_until(PROMPT)
        terminal.type("python3")
        terminal.read_until(">>>")
        with stopping(lab):
            pass


def test_a_program_that_ignores_the_stop_is_killed_in_time(spawn: Spawn, tmp_path: Path) -> None:
    lab = spawn(LAB_STOP_SECONDS="20")
    with lab.client.terminal(close=False) as terminal:
        terminal.read_until(PROMPT)
        terminal.type("trap 'echo no' TERM HUP; echo trapped: $?; while true; do read -t 1; done")
        terminal.read_until("trapped: 0")
        with stopping(lab):
            pass
    assert "programs that did not end in time and were killed: 1" in (tmp_path / "lab.log").read_text()
    assert find_programs(str(tmp_path / "home")) == []
