"""Tests that the lab's server restarts without the user's settings only if these settings prevent the start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from labtesting.logevents import assert_log_events

# A script that runs a lab's server. The server reads its configuration, and then ends with an error, because a variable
# of the hub is missing.
RUN = "from lsstlab import launcher\nlauncher.run_single_user_server([])\n"
SERVER = """
import sys
from jupyter_server.serverapp import ServerApp
from lsstlab import settings_fallback
from lsstlab.settings_notices import SETTINGS_NOTICES
class Server:
    def launch_instance():
        print("start", flush=True)
        app = ServerApp.instance()
        {}
SETTINGS_NOTICES.start()
settings_fallback.RUN_SECONDS = 0.2
settings_fallback.launch(Server)
"""


def run_python(script: str, home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a new Python process with this home, and return the result."""
    variables = {"HOME": str(home), "LAB_SCRATCH": str(home / "scratch"), "JUPYTER_RUNTIME_DIR": str(home / "runtime")}
    (home / "scratch").mkdir(mode=0o700, exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | variables | environ,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Create a home with a server settings file that prints the line `settings` when the server reads it."""
    (tmp_path / ".jupyter").mkdir()
    (tmp_path / ".jupyter" / "jupyter_server_config.py").write_text("print('settings', flush=True)\n")
    return tmp_path


def test_another_error_ends_the_lab_with_its_last_lines(home: Path) -> None:
    done = run_python(RUN, home, JUPYTERHUB_API_TOKEN="x")
    assert done.returncode == 1
    assert done.stdout.count("settings") == 1, "the second start reads the settings"
    assert "JUPYTERHUB_SERVICE_URL" in done.stderr.splitlines()[-1]


def test_lab_without_user_settings_starts_once(tmp_path: Path) -> None:
    done = run_python(RUN, tmp_path, JUPYTERHUB_API_TOKEN="x")
    assert done.returncode == 1
    assert done.stderr.count("Failed to load JupyterHubSingleUser server extension") == 1
    assert "starts without" not in done.stderr


@pytest.mark.parametrize(
    ("statement", "status"),
    [
        ("app._http_server = object(); raise RuntimeError('later')", 1),
        ("app._http_server = object(); sys.exit(0)", 0),
        ("raise settings_fallback.HubUnreachableExit(1)", 1),
        ("ServerApp.clear_instance(); sys.exit(0)", 0),
    ],
    ids=["an error while it runs", "its normal end", "a missing hub", "help or version"],
)
def test_end_for_another_reason_causes_no_second_start(home: Path, statement: str, status: int) -> None:
    done = run_python(SERVER.format(statement), home)
    assert (done.returncode, done.stdout) == (status, "start\n")


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("raise RuntimeError('why')", "RuntimeError: why"),
        ("sys.exit(3)", "exit status 3"),
        ("app.log.error('why'); sys.exit(1)", "why"),
        ("import asyncio; raise asyncio.CancelledError('why')", "why"),
        ("sys.stdout.close(); raise RuntimeError('why')", "RuntimeError: why"),
    ],
)
def test_the_process_starts_again_with_the_reason(home: Path, statement: str, reason: str) -> None:
    script = SERVER.format(f"import os\n        if not os.environ.get('JUPYTER_CONFIG_DIR'): {statement}")
    done = run_python(script, home, LAB_LOG="json")
    assert (done.returncode, done.stdout) == (0, "start\nstart\n")
    lines = [line for line in done.stderr.splitlines() if "starts without" in line]
    (event,) = assert_log_events(lines)
    assert str(event["message"]).endswith(f"starts without: {reason}")
    assert f"~/.jupyter/jupyter_server_config.py: {reason}" in (home / "scratch" / "settings-notices").read_text()


def test_a_file_of_the_user_that_blocks_the_start_is_ignored(home: Path) -> None:
    file = home / ".jupyter" / "jupyter_server_config.py"
    file.write_text("import time\n\ntime.sleep(1000)\n")
    script = SERVER.format("app.load_config_file()")
    done = run_python(script, home)
    assert (done.returncode, done.stdout) == (0, "start\nstart\n")
    assert "still runs after 0.2 s: ~/.jupyter/jupyter_server_config.py, line 3\n" in done.stderr


def test_second_start_has_the_first_environment_and_folder(home: Path) -> None:
    change = (
        "os.chdir('/'); os.environ['HOME'] = '/nope'; os.environ['PYTHONPATH'] = '/nope'; raise RuntimeError('why')"
    )
    show = "print(os.getcwd(), os.environ['HOME'], os.environ.get('PYTHONPATH'))"
    statement = f"if not os.environ.get('JUPYTER_CONFIG_DIR'): {change}\n        {show}"
    done = run_python(SERVER.format(f"import os\n        {statement}"), home, PYTHONPATH="/mine")
    assert (done.returncode, done.stdout) == (0, f"start\nstart\n{home} {home} /mine\n")


def test_interrupt_during_the_start_ends_the_lab(home: Path) -> None:
    done = run_python(SERVER.format("raise KeyboardInterrupt"), home)
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "start\n")


def test_a_slow_machine_is_no_reason_to_ignore_settings(home: Path) -> None:
    done = run_python(SERVER.format("import time; time.sleep(1); app.load_config_file()"), home)
    assert (done.returncode, done.stdout) == (0, "start\nsettings\n")
