"""Start JupyterHub and a lab with the LSST stack on this machine: `nox -s demo`.

The demo is installed into `.demo/` of the checkout. Notebooks and logins are in `.demo/state/`. Ctrl-C stops it.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType, MappingProxyType
from typing import TextIO

from tools.github_demo import hub_command, run_github
from tools.parts import ALONE, END_WITH_PARENT, FOLDER, HUB, PartsError, in_use, prepare

USER = "demo"
START_SECONDS = 60
STOP_SECONDS = 15
MARKER = ".jupyterlabdemo-state"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(Exception):
    """The demo cannot start. The message states the reason and the next action in one line."""


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_port(port: int) -> None:
    """Check that a port is free, before the demo is installed.

    Raises
    ------
    DemoError
        Raised if the port is in use.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(
                f"port {port}: {error.strerror}. Choose another: nox -s demo -- --port {free_port()}"
            ) from error


def make_password(state: Path) -> Path:
    """Return the file with the demo's password, and create it if it is missing. `--reset` removes the file."""
    file = state / "password"
    if not file.exists():
        new = state / "password.new"
        new.touch(mode=0o600)
        new.write_text(secrets.token_hex(8))
        new.rename(file)
    return file


def make_state(state: Path) -> None:
    """Create the state folder with a marker file. `--reset` removes only folders with this marker.

    Raises
    ------
    DemoError
        Raised if the folder contains other files, or if its path contains characters that URLs or JupyterHub interpret.
    """
    if characters := set("%?#{}") & set(str(state)):
        raise DemoError(f"{state}: the path contains {' '.join(sorted(characters))}: choose a path without them")
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (state / MARKER).exists() and any(state.iterdir()):
        raise DemoError(f"{state} contains files that are not from the demo: choose an empty or a new folder")
    (state / MARKER).touch()
    state.chmod(0o700)


def only_user(state: Path) -> TextIO:
    """Lock a state folder for this process, because two hubs with one folder would stop each other's proxy.

    Raises
    ------
    DemoError
        Raised if another process has the lock.
    """
    file = (state / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DemoError(f"a demo is running with {state}: stop it, or choose another folder with --state") from None
    return file


def clean_environment() -> dict[str, str]:
    """Return the variables of this process without those that configure the hub, its proxy or its labs."""
    prefixes = ("CONFIGPROXY_", "JUPYTER", "LAB_", "NODE_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}


def lone_hub(parts: Path) -> list[str | Path]:
    """Return the command that starts a hub with one user and a password."""
    python = parts / "lab" / "bin" / "python"
    show: list[str | Path] = [python, "-c", "import lsstlab; print(lsstlab.__path__[0])"]
    package = subprocess.run(show, check=True, capture_output=True, text=True).stdout.strip()
    return [python, "-m", "jupyterhub", "--config", f"{package}/jupyterhub_config.py"]


class Hub:
    """A JupyterHub process.

    Parameters
    ----------
    parts
        The folder that `tools.parts.prepare` returned.
    state
        The folder for the database, homes and log. It is created if it does not exist.
    port
        The port of the proxy on 127.0.0.1.
    command
        The command that starts the hub. The default starts a hub with one user and a password.
    environ
        Additional variables for the command.

    Raises
    ------
    DemoError
        Raised if the state folder cannot be written, or if another hub uses it.
    """

    def __init__(
        self,
        parts: Path,
        state: Path,
        port: int,
        command: Sequence[str | Path] = (),
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.hub_port = free_port()
        self.log = state / "hub.log"
        # Kernels listen on Unix sockets in this folder. Linux limits the path of a socket to 107 bytes, so the folder
        # needs a short path.
        self.runtime = TemporaryDirectory(prefix="lab-")
        try:
            make_state(state)
            self.lock = only_user(state)
            self.password_file = make_password(state)
            if self.log.exists():  # keep the log of the previous run, which may show why that run ended
                self.log.replace(state / "hub.log.1")
            log = self.log.open("w")
        except OSError as error:
            raise DemoError(f"cannot write {error.filename}: {error.strerror}") from error
        with log:
            self.process = subprocess.Popen(
                [*END_WITH_PARENT, *(command or lone_hub(parts))],
                cwd=state,
                env={**clean_environment(), **self._environment(parts, state, port), **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The hub inherits the lock, so the lock lasts until both processes have ended.
                pass_fds=[self.lock.fileno()],
                # With a session of its own, the hub does not receive Ctrl-C. This program receives it and stops the
                # hub, which stops its labs and its proxy.
                start_new_session=True,
            )

    def _environment(self, parts: Path, state: Path, port: int) -> dict[str, str]:
        return {
            "LAB_USER": USER,
            "LAB_IP": "127.0.0.1",
            "LAB_LOGIN": "password",
            "LAB_PASSWORD_FILE": str(self.password_file),
            "LAB_PORT": str(port),
            "LAB_HUB_PORT": str(self.hub_port),
            "LAB_PROXY_API_PORT": str(free_port()),
            "LAB_STATE": str(state),
            "LAB_SCRATCH": str(state / "scratch"),
            "JUPYTER_RUNTIME_DIR": self.runtime.name,
            "LAB_PROXY": str(parts / "proxy"),
            "LAB_CLEAN_SETTINGS": os.environ.get("LAB_CLEAN_SETTINGS", "0"),
        }

    @property
    def password(self) -> str:
        """The password of the user `demo`."""
        return self.password_file.read_text()

    def wait_until_ready(self) -> None:
        """Wait until the hub answers with its login page.

        Raises
        ------
        DemoError
            Raised if the hub ends or does not answer in time. The message contains the end of its log.
        """
        # Ignore HTTP_PROXY and similar variables: the hub is on this machine.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + START_SECONDS
        # Ask the hub first, because the proxy logs ten lines for each request that reaches it before the hub is ready.
        pages = [f"http://127.0.0.1:{self.hub_port}/hub/health", f"{self.url}/hub/login"]
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                direct.open(pages[0], timeout=5).close()
                del pages[0]
                if not pages:
                    return
            except OSError:
                time.sleep(0.1)
        outcome = "ended" if self.process.poll() is not None else f"did not answer within {START_SECONDS} s"
        self.stop()
        last = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        raise DemoError(f"the hub {outcome}. The last lines of {self.log}:\n{last}")

    def stop(self) -> None:
        """Stop the hub with its labs and its proxy. Processes that do not stop in time are killed."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.runtime.cleanup()


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Handle SIGTERM and SIGHUP like Ctrl-C, and ignore further signals."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def run(port: int, state: Path) -> None:
    """Install the demo, start a hub with one user and a password, and wait until Ctrl-C."""
    check_port(port)
    parts = prepare(*ALONE)
    with in_use():
        hub = Hub(parts, state, port)
        serve(hub, f"  user:      {USER}\n  password:  {hub.password}\n")


def run_with_github(port: int, state: Path) -> None:
    """Install the demo, start a hub that uses a simulated GitHub, and wait until Ctrl-C."""
    check_port(port)
    parts = prepare(*ALONE, HUB)
    with in_use(), run_github(parts, f"http://127.0.0.1:{port}") as environ:
        hub = Hub(parts, state, port, hub_command(parts), environ)
        serve(
            hub,
            f"  Log in as one of the sample users of a simulated GitHub, {environ['GITHUB_URL']}.\n"
            f"  Members of {environ['GITHUB_ORGANIZATION_WHITELIST']} may log in; the others see why they may not.\n",
        )


def serve(hub: Hub, login: str) -> None:
    """Print how to log in, and wait until Ctrl-C."""
    try:
        hub.wait_until_ready()
        print(f"\n  JupyterLab with the LSST stack:  {hub.url}\n{login}")
        print(f"  Log: {hub.log}. Ctrl-C stops the demo.\n", flush=True)
        hub.process.wait()
    except KeyboardInterrupt:
        print("Stopping ...", flush=True)
        raise
    finally:
        hub.stop()
    raise DemoError(f"the hub ended unexpectedly: read {hub.log}")


def reset(state: Path) -> None:
    """Remove the demo's logins, notebooks and logs. The installed packages stay.

    Raises
    ------
    DemoError
        Raised if the folder is not a state folder of the demo, or if a running demo uses it.
    """
    if state.exists():
        if not (state / MARKER).exists():
            raise DemoError(f"{state} is not a state folder of the demo: nothing was removed")
        with only_user(state):
            shutil.rmtree(state)
    print(f"Removed the demo's logins, notebooks and logs: {state}")


def main() -> None:
    """Start the demo, or remove its state. If that fails, exit with the reason in one line."""
    parser = argparse.ArgumentParser(prog="nox -s demo --", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="the port on 127.0.0.1 (default: 8000)")
    parser.add_argument("--reset", action="store_true", help="remove notebooks and logins, and exit")
    parser.add_argument("--github", action="store_true", help="log in as a sample user of a simulated GitHub")
    parser.add_argument(
        "--state",
        type=Path,
        help="the folder for notebooks and logins (default: .demo/state or .demo/state-github)",
    )
    options = parser.parse_args()
    if not 0 < options.port < 65536:
        parser.error(f"--port: found {options.port}, wanted 1 to 65535")
    state = (options.state or FOLDER / ("state-github" if options.github else "state")).resolve()
    for number in STOP_SIGNALS:
        signal.signal(number, interrupt)
    try:
        if options.reset:
            reset(state)
        elif options.github:
            run_with_github(options.port, state)
        else:
            run(options.port, state)
    except (DemoError, PartsError) as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        print("Stopped.")


if __name__ == "__main__":
    main()
