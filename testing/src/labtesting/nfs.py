"""The real Linux NFS client, by a command that NFS_CLIENT names.

    NFS_CLIENT SERVER:/PATH COMMAND...

mounts it on /mnt, with the options of NFS_OPTIONS, and runs the command as root, in the folder where we are.
`.ci/nfs-client` is one for machines whose kernel has the client.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from labtesting.needs import skip_or_fail

ROOT = Path(__file__).parents[3]
VOLUME = ROOT / "fileserver/kubernetes/shared-home-persistentvolume.yaml"


def mount_options() -> str:
    """Give the mount options of our PersistentVolume, but the version, which the client sets."""
    volume: dict[str, Any] = yaml.safe_load(VOLUME.read_text())
    return ",".join(option for option in volume["spec"]["mountOptions"] if not option.startswith("nfsvers="))


def nfs_client() -> list[str]:
    """Give the command; without one the test is skipped (fails in CI)."""
    command = os.environ.get("NFS_CLIENT")
    if not command:
        skip_or_fail("an NFS client", "set NFS_CLIENT to the command that runs one, for example .ci/nfs-client")
    return shlex.split(command)


class Client:
    """A command that runs on the client; its lines come as it prints them."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log

    def wait_for(self, found: Callable[[str], bool], what: str, timeout: float = 120) -> str:
        """Wait until what it printed so far is so; give that.

        Raises
        ------
        AssertionError
            It ended before, or takes too long.
        """
        deadline = time.monotonic() + timeout
        while not found(said := self.log.read_text()):
            assert self.process.poll() is None, f"{what}: the client ended:\n{said}"
            assert time.monotonic() < deadline, f"{what}: not within {timeout} s:\n{said}"
            time.sleep(0.05)
        return said

    def finish(self, timeout: float = 120) -> str:
        """Wait for its end; give what it printed.

        Raises
        ------
        AssertionError
            It failed.
        """
        status = self.process.wait(timeout)
        said = self.log.read_text()
        assert status == 0, f"the client ended with status {status}:\n{said}"
        return said


@contextmanager
def run_on_client(export: str, *command: str | Path, log: Path) -> Iterator[Client]:
    """Run a command on the client, with an export (SERVER:/PATH) mounted as a lab's node does.

    Parameters
    ----------
    log
        Where what it prints is kept.
    """
    environ = os.environ | {"NFS_OPTIONS": mount_options()}
    with log.open("w") as output:
        process = subprocess.Popen(
            [*nfs_client(), export, *map(str, command)],
            env=environ,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield Client(process, log)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 15)
            process.wait(30)
        print(log.read_text())  # noqa: T201  (pytest shows it when the test fails)
