"""The Linux NFS client, used through the program that the variable NFS_CLIENT names.

    NFS_CLIENT SERVER:/PATH COMMAND...

The program mounts the export on /mnt with the mount options of the variable NFS_OPTIONS. It then runs the command as
root in the current folder. On machines whose kernel has the NFS client, you can use the program `.ci/nfs-client`.
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
    """Return the mount options of the PersistentVolume, except the NFS version, which NFS_CLIENT's program sets."""
    volume: dict[str, Any] = yaml.safe_load(VOLUME.read_text())
    return ",".join(option for option in volume["spec"]["mountOptions"] if not option.startswith("nfsvers="))


def nfs_client() -> list[str]:
    """Return the command in the variable NFS_CLIENT. Without the variable, the test is skipped, or fails in CI."""
    command = os.environ.get("NFS_CLIENT")
    if not command:
        skip_or_fail("an NFS client", "set NFS_CLIENT to the command that runs one, for example .ci/nfs-client")
    return shlex.split(command)


class Client:
    """A command that runs on the NFS client with a mounted export, and the output of the command."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log

    def wait_for(self, condition: Callable[[str], bool], what: str, timeout: float = 180) -> str:
        """Wait until the output of the command fulfills a condition, and return the output.

        Parameters
        ----------
        what
            Description of the condition, for the error message.

        Raises
        ------
        AssertionError
            Raised if the command ends before the condition is fulfilled, or if `timeout` seconds have passed.
        """
        deadline = time.monotonic() + timeout
        while not condition(output := self.log.read_text()):
            assert self.process.poll() is None, f"{what}: the client ended:\n{output}"
            assert time.monotonic() < deadline, f"{what}: not within {timeout} s:\n{output}"
            time.sleep(0.05)
        return output

    def finish(self, timeout: float = 180) -> str:
        """Wait for the end of the command, and return its output.

        Raises
        ------
        AssertionError
            Raised if the command fails.
        """
        status = self.process.wait(timeout)
        output = self.log.read_text()
        assert status == 0, f"the client ended with status {status}:\n{output}"
        return output


@contextmanager
def run_on_client(export: str, *command: str | Path, log: Path) -> Iterator[Client]:
    """Run a command with a mounted export until the end of the block, then stop it and print its output.

    Parameters
    ----------
    export
        `SERVER:/PATH`. It is mounted with the options that the nodes of labs use.
    log
        File for the command's output.
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
            process.wait(180)
        print(log.read_text())  # noqa: T201  (pytest shows the output if the test fails)
