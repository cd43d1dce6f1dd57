"""Start a JupyterLab of your own, with the LSST stack: `nox -s demo`.

Everything lies in `.demo/` of the checkout; notebooks and logins in `.demo/state/`. Ctrl-C stops it.
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
    """The demo cannot start; the message says why and what to do, in one line."""


def free_port() -> int:
    """Give a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_port(port: int) -> None:
    """Refuse a port that is taken, before anything is installed for it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(
                f"port {port}: {error.strerror}. Choose another: nox -s demo -- --port {free_port()}"
            ) from error


def make_password(state: Path) -> Path:
    """Give the file of the demo's password; it stays the same until --reset."""
    file = state / "password"
    if not file.exists():
        new = state / "password.new"
        new.touch(mode=0o600)
        new.write_text(secrets.token_hex(8))
        new.rename(file)
    return file


def make_state(state: Path) -> None:
    """Make the state folder, and mark it as the demo's: --reset removes it whole.

    Raises
    ------
    DemoError
        It is there and holds something else, or its name would be read as something else.
    """
    if found := set("%?#{}") & set(str(state)):
        raise DemoError(f"{state}: found {' '.join(sorted(found))} in the path, wanted a path without")
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (state / MARKER).exists() and any(state.iterdir()):
        raise DemoError(f"{state} holds something that is not the demo's: name an empty folder, or a new one")
    (state / MARKER).touch()
    state.chmod(0o700)


def only_user(state: Path) -> TextIO:
    """Take a state folder for this process; two hubs on one would end each other's proxy."""
    file = (state / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DemoError(f"it runs already, on {state}: stop it, or name another --state") from None
    return file


def clean_environment() -> dict[str, str]:
    """Give the variables of this process without those that would change the hub, its proxy or its labs."""
    theirs = ("CONFIGPROXY_", "JUPYTER", "LAB_", "NODE_", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(theirs)}


def lone_hub(parts: Path) -> list[str | Path]:
    """Give the command of a hub with one user and a password."""
    python = parts / "lab" / "bin" / "python"
    show: list[str | Path] = [python, "-c", "import lsstlab; print(lsstlab.__path__[0])"]
    package = subprocess.run(show, check=True, capture_output=True, text=True).stdout.strip()
    return [python, "-m", "jupyterhub", "--config", f"{package}/jupyterhub_config.py"]


class Hub:
    """A JupyterHub that runs as a process of its own until it is stopped.

    Parameters
    ----------
    parts
        The folder that `tools.parts.prepare` made.
    state
        The folder of its database, homes and log; made if it is not there.
    port
        Where the browser reaches it, on 127.0.0.1.
    command
        What starts it, if not the hub with one user and a password.
    environ
        Variables for that.

    Raises
    ------
    DemoError
        The state folder cannot be written, or a hub runs on it.
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
        # Short, for what is in it: the path of a Unix socket, which kernels talk over, ends at 107 bytes.
        self.runtime = TemporaryDirectory(prefix="lab-")
        try:
            make_state(state)
            self.lock = only_user(state)
            self.password_file = make_password(state)
            if self.log.exists():  # it may say why the last one ended
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
                # The lock is the hub's as well: it holds as long as one of the two lives.
                pass_fds=[self.lock.fileno()],
                # Ctrl-C is for this program, which then asks the hub to take its labs and its proxy down.
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
        }

    @property
    def password(self) -> str:
        """The password of the one user, `demo`."""
        return self.password_file.read_text()

    def wait_until_ready(self) -> None:
        """Wait for the login page.

        Raises
        ------
        DemoError
            The hub ended, or does not answer in time; the message holds the end of its log.
        """
        # Without a proxy, whatever the environment says: this is the machine itself.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + START_SECONDS
        # The hub itself first: the proxy writes ten lines for each request that it cannot hand on yet.
        pages = [f"http://127.0.0.1:{self.hub_port}/hub/health", f"{self.url}/hub/login"]
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                direct.open(pages[0], timeout=5).close()
                del pages[0]
                if not pages:
                    return
            except OSError:
                time.sleep(0.1)
        what = "ended" if self.process.poll() is not None else f"did not answer within {START_SECONDS} s"
        self.stop()
        last = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        raise DemoError(f"the hub {what}; its log, {self.log}, ends with:\n{last}")

    def stop(self) -> None:
        """Stop the hub, which stops its labs and its proxy; what does not stop in time is killed."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.runtime.cleanup()


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Treat SIGTERM, and a terminal that is closed, as Ctrl-C, and only the first of them."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def run(port: int, state: Path) -> None:
    """Make what is missing, start a hub with one user and a password, and stay until Ctrl-C."""
    check_port(port)
    parts = prepare(*ALONE)
    with in_use():
        hub = Hub(parts, state, port)
        serve(hub, f"  user:      {USER}\n  password:  {hub.password}\n")


def run_with_github(port: int, state: Path) -> None:
    """Make what is missing, start a hub that asks a stand-in for GitHub, and stay until Ctrl-C."""
    check_port(port)
    parts = prepare(*ALONE, HUB)
    with in_use(), run_github(parts, f"http://127.0.0.1:{port}") as environ:
        hub = Hub(parts, state, port, hub_command(parts), environ)
        serve(
            hub,
            f"  Log in as one of the made-up people of a stand-in for GitHub, {environ['GITHUB_URL']}:\n"
            f"  members of {environ['GITHUB_ORGANIZATION_WHITELIST']} come in, the others see why not.\n",
        )


def serve(hub: Hub, login: str) -> None:
    """Say how to log in, and stay until Ctrl-C."""
    try:
        hub.wait_until_ready()
        print(f"\n  JupyterLab with the LSST stack:  {hub.url}\n{login}")
        print(f"  Log: {hub.log}. Ctrl-C stops it.\n", flush=True)
        hub.process.wait()
    except KeyboardInterrupt:
        print("Stopping ...", flush=True)
        raise
    finally:
        hub.stop()
    raise DemoError(f"the hub ended by itself: see {hub.log}")


def reset(state: Path) -> None:
    """Remove the demo's logins, notebooks and logs; what was installed stays.

    Raises
    ------
    DemoError
        The folder is none of the demo's, or the demo runs on it.
    """
    if state.exists():
        if not (state / MARKER).exists():
            raise DemoError(f"{state} is not a state folder of the demo: nothing is removed")
        with only_user(state):
            shutil.rmtree(state)
    print(f"Removed the demo's state: {state}")


def main() -> None:
    """Start the demo or remove its state; a mistake ends with one line."""
    parser = argparse.ArgumentParser(prog="nox -s demo --", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="where the browser finds it (8000)")
    parser.add_argument("--reset", action="store_true", help="remove its notebooks and logins, and end")
    parser.add_argument("--github", action="store_true", help="log in with a stand-in for GitHub, as made-up people")
    parser.add_argument(
        "--state", type=Path, help="the folder of its notebooks and logins (.demo/state; .demo/state-github)"
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
