"""The program that makes homes and project folders, `labfiles`, as a process on a folder; and a storage for it.

It gives folders to users, so it runs as root: as whom the tests run, or by sudo that asks for no password.
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
TOKEN = "a-token-that-nobody-guesses"  # noqa: S105
START_SECONDS = 20


def root_command() -> list[str]:
    """Give what makes root of a command; the test is skipped where nothing does (fails in CI)."""
    if os.geteuid() == 0:
        return []
    if not shutil.which("sudo") or subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode:
        skip_or_fail("root", "run it as root, or where sudo asks for no password: it gives folders to users")
    return ["sudo", "-n"]


def as_root(*command: str | Path) -> None:
    """Run a command as root."""
    subprocess.run([*root_command(), *map(str, command)], check=True)


class Labfiles:
    """`labfiles` on a storage.

    Attributes
    ----------
    log
        Its log so far goes into this file.
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
        self._client = httpx.Client(timeout=20)
        self.storage, self.token_file, self.log = storage, token_file, folder / "labfiles.log"
        variables = [f"{name}={text}" for name, text in environ.items()]
        with self.log.open("a") as log:
            command = [*root_command(), "env", *variables, sys.executable, "-m", "labfiles"]
            self.process = subprocess.Popen(command, stderr=log, stdout=log)

    def lines(self) -> list[dict[str, Any]]:
        """Give its log lines; what is no JSON is left out."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def wait_until_ready(self) -> None:
        """Wait until it listens, and learn where.

        Raises
        ------
        AssertionError
            It ended, or takes too long; with its log.
        """
        deadline = time.monotonic() + START_SECONDS
        while not (said := [line for line in self.lines() if line["message"] == "listening"]):
            assert self.process.poll() is None, f"labfiles ended:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"labfiles does not start:\n{self.log.read_text()}"
            time.sleep(0.02)
        self.url = f"http://127.0.0.1:{said[-1]['fileserver.api_port']}"
        self.metrics_url = f"http://127.0.0.1:{said[-1]['fileserver.metrics_port']}"

    def put(self, path: str, token: str = TOKEN) -> httpx.Response:
        """Ask for a folder: `homes/<uid>` or `projects/<gid>`."""
        return self._client.put(f"{self.url}/v1/{path}", headers={"Authorization": f"Bearer {token}"})

    def metrics(self) -> dict[str, float]:
        """Give its metrics by name and labels."""
        lines = httpx.get(f"{self.metrics_url}/metrics").text.splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def signal(self, number: int) -> None:
        """Send it a signal."""
        as_root("kill", f"-{number}", str(self.process.pid))

    def stop(self) -> int:
        """End it, if it still runs; give its exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        self._client.close()
        return self.process.wait(20)


@contextmanager
def run_labfiles(folder: Path, storage: Path | None = None, **settings: str) -> Iterator[Labfiles]:
    """Run `labfiles` until it listens; its log is shown at the end.

    Parameters
    ----------
    folder
        For its token and log.
    storage
        Where it makes folders; a new one in `folder` if None.
    settings
        Variables of its environment.
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
        print(running.log.read_text())  # noqa: T201  (pytest shows it when the test fails)
