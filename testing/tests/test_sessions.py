"""The sessions as a person at a terminal meets them: real nox, real uv, real processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tools.demo import free_port
from tools.lock import ROOT, sources


def tool(module: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run what a session runs."""
    return subprocess.run(
        [sys.executable, "-m", f"tools.{module}", *arguments],
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_menu_describes_every_session() -> None:
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
    # A lock that names a host ties everyone to the mirror of whoever made it.
    for source in [*sources("requirements.txt"), *sources("package-lock.json")]:
        assert not re.search(r"index-url|find-links|\"resolved\"", (ROOT / source).read_text()), source


def test_build_without_an_engine_says_how_to_get_one() -> None:
    done = tool("images", "jupyterlab", DOCKER_HOST="unix:///no/such/engine.sock")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "build: no Docker engine answers: install and start one (Debian: apt install docker.io)"
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


def test_the_demo_refuses_what_is_no_port() -> None:
    assert "--port: found 0, wanted 1 to 65535" in tool("demo", "--port", "0").stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Give a checkout of the working tree with nothing installed in it."""
    for name in ("tools", "jupyterlab"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def demo_in(checkout: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Start the demo of another checkout, where it is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "tools.demo", "--port", str(free_port())],
        cwd=checkout,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_a_network_the_demo_says_so_in_one_line(checkout: Path, tmp_path: Path) -> None:
    # A network in which nothing answers: a proxy on a closed port, and nothing cached.
    nowhere = f"http://127.0.0.1:{free_port()}"
    done = demo_in(
        checkout, ALL_PROXY=nowhere, HTTPS_PROXY=nowhere, UV_CACHE_DIR=str(tmp_path / "cache"), UV_HTTP_RETRIES="0"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("demo: no network? JupyterLab and JupyterHub could not be downloaded")
    assert done.stderr.count("\n") == 1


def test_in_a_folder_that_cannot_be_written_the_demo_says_so(checkout: Path) -> None:
    (checkout / ".demo").write_text("in the way")
    done = demo_in(checkout)
    assert done.returncode == 1
    assert done.stderr.startswith("demo: cannot write")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_stops_everything_that_the_demo_started(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "tools.demo", "--port", str(port), "--state", str(tmp_path)]
    demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    printed = ""
    for line in demo.stdout:
        printed += line
        if "Ctrl-C" in line:
            break
    assert f"http://127.0.0.1:{port}" in printed
    assert re.search(r"user: +demo\n +password: +\S{8,}", printed)
    started = processes_below(demo.pid)
    assert len(started) >= 2, "hub and proxy"
    second = tool("demo", "--port", str(free_port()), "--state", str(tmp_path))
    assert second.stderr == f"demo: it runs already, on {tmp_path}: stop it, or take another folder with --state\n"
    demo.send_signal(signal.SIGINT)
    assert "Stopped." in demo.communicate(timeout=30)[0]
    wait_until_gone(started)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5)


def processes_below(pid: int) -> list[int]:
    """List the processes that a process started, and those that they started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *processes_below(int(child))]
    return found


def wait_until_gone(pids: list[int]) -> None:
    """Wait until none of the processes runs."""
    deadline = time.monotonic() + 10
    while left := [pid for pid in pids if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.05)


def test_reset_removes_a_state_folder(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "home").mkdir(parents=True)
    (state / "password").write_text("secret")
    done = tool("demo", "--reset", "--state", str(state))
    assert (done.returncode, done.stdout) == (0, f"Removed the demo's state: {state}\n")
    assert not state.exists()


def test_reset_refuses_a_folder_that_is_none_of_the_demo_s(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    done = tool("demo", "--reset", "--state", str(tmp_path))
    assert done.stderr == f"demo: {tmp_path} is not a state folder of the demo: nothing is removed\n"
    assert (tmp_path / "thesis.tex").exists()
