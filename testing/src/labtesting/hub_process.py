"""A running JupyterHub: a process that starts the hub with its proxy, and the log of the process."""

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

START_SECONDS = 180
STOP_SECONDS = 15
POLL = 0.05
# The hub's ports are chosen below the range from which Linux assigns free ports. From that range, another process could
# get a port before the hub uses it.
PORTS = range(10_000, 30_000)
T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, timeout: float = 180) -> T:
    """Wait until a condition returns a true value, and return the value.

    Parameters
    ----------
    what
        Description of the condition, for the error message.

    Raises
    ------
    AssertionError
        Raised if the condition is not true within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(POLL)
    return answer


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which no process listens."""
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
        URL of the proxy, without a slash at the end.
    token
        API token of a service with all rights.
    """

    url: str
    token: str
    log_file: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """The complete lines of the log so far."""
        text = self.log_file.read_text(errors="replace")
        return text[: text.rfind("\n") + 1]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The log lines with a field `event.action`, for example audit events."""
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        return [line for line in lines if "event.action" in line]

    def api(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send a request to the hub's REST API, with the API token of the service."""
        headers = {"Authorization": f"token {self.token}"}
        return httpx.request(method, f"{self.url}/hub/api{path}", headers=headers, timeout=180, **arguments)

    def user(self, name: str) -> dict[str, Any] | None:
        """Return a user as the REST API describes it, with the auth state. Return None if the user does not exist."""
        response = self.api("GET", f"/users/{name}?include_stopped_servers")
        return response.json() if response.status_code == 200 else None

    def is_up(self) -> bool:
        """Check whether the hub answers through the proxy.

        Raises
        ------
        AssertionError
            Raised if the hub has ended. The message has its log.
        """
        assert self.process.poll() is None, f"the hub ended:\n{self.log}"
        try:
            return httpx.get(f"{self.url}/hub/health").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """Stop the hub, the proxy and the labs of the hub."""
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
    """Run a hub until the end of the block, then print its log.

    Parameters
    ----------
    config
        Content of the hub's configuration file.
    environment
        Further environment variables.
    folder
        Folder for the configuration, the log and the hub's files.
    token, url
        API token and URL for `HubProcess`. The configuration must contain the same values.
    program
        Python's arguments that start the hub.
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
        print(hub.log)  # noqa: T201  (pytest shows the log if the test fails)
