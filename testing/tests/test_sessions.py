"""Tests of the nox sessions and the demo, with the real nox and uv, and with real processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools import parts
from tools.demo import free_port
from tools.lock import ROOT, sources


def tool(module: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a module of tools/ as a nox session does."""
    return subprocess.run(
        [sys.executable, "-m", f"tools.{module}", *arguments],
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_nox_list_describes_every_session() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "nox", "-l"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    sessions = re.findall(r"^[*-] (\S+)( -> .+)?$", listed, re.MULTILINE)
    assert {"demo", "lint", "build(jupyterlab)", "test(jupyterlab)", "typing(jupyterlab)"} <= {
        name for name, _ in sessions
    }
    assert [name for name, description in sessions if not description] == []


def test_every_lock_has_hashes_and_names_its_command() -> None:
    found = sources("requirements.in")
    assert len(found) > 5
    for source in found:
        text = (ROOT / source).with_suffix(".txt").read_text()
        assert "#    nox -s lock" in text.splitlines()[:3], source
        assert text.count("==") <= text.count("--hash=sha256:"), source


def test_no_lock_names_a_registry() -> None:
    # If a lock file named a registry, every installation would use the mirror of the developer who created the lock
    # file.
    for source in [*sources("requirements.txt"), *sources("package-lock.json")]:
        assert not re.search(r"index-url|find-links|\"resolved\"", (ROOT / source).read_text()), source


def test_build_without_an_engine_is_reported_with_a_fix() -> None:
    done = tool("images", "jupyterlab", DOCKER_HOST="unix:///no/such/engine.sock")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "build: cannot connect to a Docker engine: install and start one (Debian: apt install docker.io)"
    )
    assert done.stderr.count("\n") == 1


def test_the_demo_refuses_a_taken_port_and_offers_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = tool("demo", "--port", str(port))
    assert done.returncode == 1
    assert re.fullmatch(
        rf"demo: port {port}: Address already in use\. Choose another: nox -s demo -- --port \d+\n", done.stderr
    )


def test_demo_refuses_an_invalid_port() -> None:
    assert "--port: found 0, wanted 1 to 65535" in tool("demo", "--port", "0").stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the checkout's code, without the installed environments."""
    for name in ("tools", "jupyterlab"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "noxfile.py", tmp_path)
    return tmp_path


def run_in(checkout: Path, *command: str, by: Sequence[str] = (), **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a Python module in another checkout, and wait for the end of the process.

    Parameters
    ----------
    by
        Command in front of the Python command, for example a program that drops capabilities.
    """
    return subprocess.run(
        [*by, sys.executable, "-m", *command],
        cwd=checkout,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def demo_in(checkout: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the demo of another checkout, and wait for its end."""
    return run_in(checkout, "tools.demo", "--port", str(free_port()), **environ)


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """Return environment variables that simulate a missing network: a proxy on a closed port, and an empty cache."""
    closed = f"http://127.0.0.1:{free_port()}"
    cache = str(tmp_path / "cache")
    return {"ALL_PROXY": closed, "HTTPS_PROXY": closed, "UV_CACHE_DIR": cache, "UV_HTTP_RETRIES": "0"}


def test_demo_session_without_a_network_is_reported(checkout: Path, offline: dict[str, str]) -> None:
    done = run_in(checkout, "nox", "-s", "demo", **offline)
    assert done.returncode == 1
    assert "cannot install the demo's tools from PyPI" in done.stderr


def test_nox_reports_a_read_only_checkout(checkout: Path) -> None:
    checkout.chmod(0o555)
    # With its capabilities, root can write to any folder. So if the test runs as root, the command drops them.
    by = () if os.getuid() else ("setpriv", "--inh-caps=-all", "--bounding-set=-all")
    done = run_in(checkout, "nox", "-l", by=by)
    checkout.chmod(0o755)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"nox: cannot write to {checkout}, where the sessions install")


def test_demo_without_a_network_is_reported_in_one_line(checkout: Path, offline: dict[str, str]) -> None:
    done = demo_in(checkout, **offline)
    assert done.returncode == 1
    assert done.stderr.startswith("demo: cannot download JupyterLab and JupyterHub: check the network and try again")
    assert done.stderr.count("\n") == 1


def test_demo_reports_an_unwritable_folder(checkout: Path) -> None:
    (checkout / ".demo").write_text("in the way")
    done = demo_in(checkout)
    assert done.returncode == 1
    assert done.stderr.startswith("demo: cannot write")
    assert done.stderr.count("\n") == 1


@contextmanager
def running_demo(state: Path) -> Iterator[tuple[subprocess.Popen[str], list[int], str]]:
    """Run a demo until the end of the block.

    Yield its process, the ids of the processes that it started, and its output.
    """
    port = free_port()
    command = [sys.executable, "-m", "tools.demo", "--port", str(port), "--state", str(state)]
    demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert demo.stdout is not None
        printed = ""
        while "Ctrl-C" not in printed and (line := demo.stdout.readline()):
            printed += line
        assert f"http://127.0.0.1:{port}" in printed
        started = processes_below(demo.pid)
        assert len(started) >= 2, "the demo did not start a hub and a proxy"
        yield demo, started, printed
    finally:
        demo.terminate()
        demo.communicate(timeout=180)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_survives_the_demo(tmp_path: Path, number: signal.Signals) -> None:
    with running_demo(tmp_path) as (demo, started, printed):
        assert re.search(r"user: +demo\n +password: +[0-9a-f]{16}\n", printed)
        demo.send_signal(number)
        out, _ = demo.communicate(timeout=180)
        wait_until_gone(started)
    assert number is signal.SIGKILL or out.endswith("Stopping ...\nStopped.\n")


def test_killed_hub_ends_the_demo_and_keeps_its_log(tmp_path: Path) -> None:
    with running_demo(tmp_path) as (demo, started, _):
        hub = next(pid for pid in started if b"jupyterhub" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(hub, signal.SIGKILL)
        _, errors = demo.communicate(timeout=180)
        wait_until_gone(started)
    assert errors == f"demo: the hub ended unexpectedly: read {tmp_path}/hub.log\n"
    with running_demo(tmp_path):
        assert (tmp_path / "hub.log.1").exists()


def test_a_second_demo_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with running_demo(tmp_path):
        second = tool("demo", "--port", str(free_port()), "--state", str(tmp_path))
    assert second.stderr == f"demo: a demo is running with {tmp_path}: stop it, or choose another folder with --state\n"


def test_demo_refuses_a_folder_with_other_files(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("mine")
    for options in (["--port", str(free_port())], ["--reset"]):
        done = tool("demo", "--state", str(tmp_path), *options)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith(f"demo: {tmp_path} ")
    assert [file.name for file in tmp_path.iterdir()] == ["password"]


def test_state_folder_with_special_characters_is_refused(tmp_path: Path) -> None:
    done = tool("demo", "--port", str(free_port()), "--state", str(tmp_path / "what?{x}"))
    assert done.stderr == f"demo: {tmp_path}/what?{{x}}: the path contains ? {{ }}: choose a path without them\n"


def test_interrupted_installation_is_repeated(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "FOLDER", checkout / ".demo")
    parts.FOLDER.mkdir()
    (parts.FOLDER / "lab.made").write_text(parts.fingerprint(parts.LAB))
    assert parts.is_made(parts.LAB)
    monkeypatch.setattr(parts, "run_script", interrupted)
    with pytest.raises(KeyboardInterrupt):
        parts.make(parts.LAB)
    assert not parts.is_made(parts.LAB)


def interrupted(*_: object) -> None:
    """Raise KeyboardInterrupt, to simulate Ctrl-C during an installation."""
    raise KeyboardInterrupt


def test_installation_is_refused_while_a_hub_runs(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "FOLDER", checkout / ".demo")
    parts.FOLDER.mkdir()
    with parts.in_use(), pytest.raises(parts.PartsError, match="stop that demo first"):
        parts.prepare(*parts.ALONE)


def processes_below(pid: int) -> list[int]:
    """Return the process ids of all children of a process, and of their children."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *processes_below(int(child))]
    return found


def wait_until_gone(pids: list[int]) -> None:
    """Wait until all these processes have ended."""
    deadline = time.monotonic() + 180
    while left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.05)


def test_reset_removes_a_state_folder(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with running_demo(state):
        busy = tool("demo", "--reset", "--state", str(state))
        assert busy.stderr.startswith("demo: a demo is running")
    done = tool("demo", "--reset", "--state", str(state))
    assert (done.returncode, done.stdout) == (0, f"Removed the demo's logins, notebooks and logs: {state}\n")
    assert not state.exists()
