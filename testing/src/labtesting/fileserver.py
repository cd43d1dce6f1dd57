"""The program `labfiles`, which creates homes and project folders. It runs as a process, with a folder as its storage.

`labfiles` changes the owners of folders, so it needs root: the tests run as root, or use sudo without a password.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from labtesting.needs import skip_or_fail

SOURCE = Path(__file__).parents[3] / "fileserver" / "src"
TOKEN = "a-token-that-is-hard-to-guess"  # noqa: S105
START_SECONDS = 180


def root_command() -> list[str]:
    """Return the prefix for commands that need root: `sudo`, or nothing if the tests run as root.

    If the tests neither run as root nor can use sudo, the test is skipped, or fails in CI.
    """
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo") or subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode:
        skip_or_fail("root", "run the tests as root, or allow sudo without a password")
    return ["sudo", "-n"]


def as_root(*command: str | Path) -> None:
    """Run a command as root, with sudo if necessary."""
    subprocess.run([*root_command(), *map(str, command)], check=True)


class Labfiles:
    """A process of `labfiles`.

    Parameters
    ----------
    storage
        Folder in which the process creates homes and project folders.
    folder
        Folder for the token and the log of the process.
    settings
        Further environment variables.

    Attributes
    ----------
    log
        File with the log of the process.
    url, metrics_url
        Addresses of the API and the metrics, known after `wait_until_ready`.
    """

    def __init__(self, storage: Path, folder: Path, **settings: str) -> None:
        token_file = folder / "token"
        token_file.write_text(TOKEN)
        environ = {
            "PYTHONPATH": str(SOURCE),
            "PYTHONUNBUFFERED": "1",
            "LABFILES_STORAGE": str(storage),
            "LABFILES_TOKEN_FILE": str(token_file),
            "LABFILES_HOST": "127.0.0.1",
            "LABFILES_PORT": "0",
            "LABFILES_METRICS_PORT": "0",
            **settings,
        }
        self._client = httpx.Client(timeout=180)
        self.storage, self.token_file, self.log = storage, token_file, folder / "labfiles.log"
        variables = [f"{name}={text}" for name, text in environ.items()]
        with self.log.open("a") as log:
            command = [*root_command(), "env", *variables, sys.executable, "-m", "labfiles"]
            self.process = subprocess.Popen(command, stderr=log, stdout=log)

    def lines(self) -> list[dict[str, Any]]:
        """Return the complete JSON lines in the log of `labfiles`."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def wait_until_ready(self) -> None:
        """Wait until `labfiles` listens, and set `url` and `metrics_url`.

        Raises
        ------
        AssertionError
            Raised if `labfiles` ends, or does not listen in time. The message has its log.
        """
        deadline = time.monotonic() + START_SECONDS
        while not (started := [line for line in self.lines() if line["message"] == "listening"]):
            assert self.process.poll() is None, f"labfiles ended:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"labfiles does not listen:\n{self.log.read_text()}"
            time.sleep(0.02)
        self.url = f"http://127.0.0.1:{started[-1]['fileserver.api_port']}"
        self.metrics_url = f"http://127.0.0.1:{started[-1]['fileserver.metrics_port']}"

    def put(self, path: str, token: str = TOKEN) -> httpx.Response:
        """Request the creation of a folder: `homes/<uid>` or `projects/<gid>`."""
        return self._client.put(f"{self.url}/v1/{path}", headers={"Authorization": f"Bearer {token}"})

    def metrics(self) -> dict[str, float]:
        """Return the values of the metrics of `labfiles`, by name and labels."""
        lines = httpx.get(f"{self.metrics_url}/metrics").text.splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def signal(self, number: int) -> None:
        """Send a signal to `labfiles`."""
        as_root("kill", f"-{number}", str(self.process.pid))

    def stop(self) -> int:
        """Stop `labfiles` with SIGTERM if it runs, and return its exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        self._client.close()
        return self.process.wait(180)


@contextmanager
def run_labfiles(folder: Path, storage: Path | None = None, **settings: str) -> Iterator[Labfiles]:
    """Run `labfiles` until the end of the block, then print its log. The block starts when `labfiles` listens.

    Parameters
    ----------
    folder
        Folder for the token and the log of the process.
    storage
        Folder in which the process creates homes and project folders. None creates one in `folder`.
    settings
        Further environment variables.
    """
    if storage is None:
        storage = folder / "storage"
        storage.mkdir()
        as_root("chown", "0:0", storage)
    running = Labfiles(storage, folder, **settings)
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.stop()
        print(running.log.read_text())  # noqa: T201  (pytest shows the log if the test fails)
