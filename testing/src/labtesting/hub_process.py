"""A JupyterHub as a process of its own, with its proxy, and everything it wrote to its log."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

START_SECONDS = 30
STOP_SECONDS = 15
POLL = 0.05
# Below those that Linux gives to whoever asks for any: another test's server would get one before it is used.
PORTS = range(10_000, 30_000)
T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, timeout: float = 60) -> T:
    """Ask again and again until the answer is true; give it.

    Raises
    ------
    AssertionError
        It is not so in time.
    """
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(POLL)
    return answer


def free_ports(count: int) -> list[int]:
    """Give ports of 127.0.0.1 that nothing listens on."""
    found: list[int] = []
    while len(found) < count:
        port = random.choice(PORTS)  # noqa: S311  (not a secret)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


@dataclass(frozen=True)
class HubProcess:
    """A running hub.

    Attributes
    ----------
    url
        The proxy's, no slash at the end.
    token
        Of a service that may see and do everything.
    """

    url: str
    token: str
    log_file: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """All lines that were written so far; one that is being written is not there yet."""
        text = self.log_file.read_text(errors="replace")
        return text[: text.rfind("\n") + 1]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The audit events so far, and other lines in JSON that have an `event.action`."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in lines if "event.action" in line]

    def api(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Call the hub's REST API as the service."""
        headers = {"Authorization": f"token {self.token}"}
        return httpx.request(method, f"{self.url}/hub/api{path}", headers=headers, timeout=30, **arguments)

    def user(self, name: str) -> dict[str, Any] | None:
        """Give a user with auth state; None: there is none."""
        response = self.api("GET", f"/users/{name}?include_stopped_servers")
        return response.json() if response.status_code == 200 else None

    def is_up(self) -> bool:
        """Tell whether hub and proxy answer.

        Raises
        ------
        AssertionError
            The hub has ended; with its log.
        """
        assert self.process.poll() is None, f"the hub ended:\n{self.log}"
        try:
            return httpx.get(f"{self.url}/hub/health").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """Stop it, with its labs and its proxy."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def run_hub(
    config: str,
    environment: Mapping[str, str],
    folder: Path,
    token: str,
    url: str,
    program: Sequence[str] = ("-m", "jupyterhub"),
) -> Iterator[HubProcess]:
    """Run a hub with this configuration (Python) until the end of the block; its log is shown then.

    The program is what Python is told to run.
    """
    file, log_file = folder / "jupyterhub_config.py", folder / "hub.log"
    file.write_text(config)
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *program, "--config", file],
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    hub = HubProcess(url, token, log_file, process)
    try:
        wait_until(hub.is_up, "the hub answers", START_SECONDS)
        yield hub
    finally:
        hub.stop()
        print(hub.log)  # noqa: T201  (a failure explains itself)
