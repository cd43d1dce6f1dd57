"""The check of the home. A lab must start even if the home is full or broken."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROBE_NAME = ".lab-probe"
PROBE_BYTES = 1024 * 1024
# A hard NFS mount waits forever for a fileserver that does not answer.
CHECK_SECONDS = 15.0
FULL_ERRORS = {errno.ENOSPC, errno.EDQUOT}

# JupyterLab shows the first 140 characters of a notification.
FULL_NOTICE = "Your home is full ({reason}). Delete files before you save, or your changes may be lost."
UNUSABLE_NOTICE = (
    "Files that you save now are lost when the lab stops. Your home cannot be used ({reason}). Ask an administrator."
)


@dataclass(frozen=True)
class HomeProblem:
    """A problem of a home.

    Attributes
    ----------
    full
        True: the home has no free space. False: the home cannot be written for another reason.
    reason
        The operating system's error message, or the timeout.
    readable
        Whether the files in the home can be read.
    """

    full: bool
    reason: str
    readable: bool = False

    @property
    def notice(self) -> str:
        """The text that the lab shows to the user about the problem."""
        return (FULL_NOTICE if self.full else UNUSABLE_NOTICE).format(reason=self.reason)


def check_home(folder: Path) -> HomeProblem | None:
    """Write a file of 1 MB to the home's disk and remove it. Return the problem, or None if the home works.

    The file always has the same name, so that the next lab removes what a killed lab left behind.
    """
    file = folder / PROBE_NAME
    try:
        # Write random bytes: a full file system with compression would still have room for zeros.
        remaining = os.urandom(PROBE_BYTES)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            while remaining:
                remaining = remaining[os.write(descriptor, remaining) :]
            os.fsync(descriptor)  # NFS and some quotas report an error only now
        finally:
            os.close(descriptor)
    except OSError as error:
        readable = os.access(folder, os.R_OK | os.X_OK)
        return HomeProblem(error.errno in FULL_ERRORS, error.strerror or type(error).__name__, readable)
    finally:
        with suppress(OSError):
            file.unlink()
    return None


class BackgroundCheck:
    """A check of the home in a thread. `wait` returns its result, or a problem after a timeout."""

    def __init__(self, folder: Path) -> None:
        self._problem: HomeProblem | None = None
        # A daemon thread: a thread that waits for a fileserver cannot be ended, and must not keep the process alive.
        self._thread = threading.Thread(target=self._run, args=(folder,), daemon=True)
        self._thread.start()

    def _run(self, folder: Path) -> None:
        self._problem = check_home(folder)

    def wait(self, timeout: float = CHECK_SECONDS) -> HomeProblem | None:
        """Return the problem, or None if the home works. No result within `timeout` seconds is a problem."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            return HomeProblem(full=False, reason=f"no answer within {timeout:.0f} s")
        return self._problem
