"""The check whether the lab can use the user's home. A lab must start even if the home is full or broken."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROBE_NAME = ".lab-probe"
PROBE_BYTES = 1024 * 1024
# Maximum time in seconds of the check. On a hard NFS mount, a write waits forever for a fileserver that does not
# answer.
CHECK_SECONDS = 15.0
FULL_ERRORS = {errno.ENOSPC, errno.EDQUOT}

# These texts are short, because JupyterLab shows only the first 140 characters of a notification.
FULL_NOTICE = "Your home is full ({reason}). Delete files before you save, or your changes may be lost."
UNUSABLE_NOTICE = (
    "Files that you save now are lost when the lab stops. Your home cannot be used ({reason}). Ask an administrator."
)


@dataclass(frozen=True)
class HomeProblem:
    """The reason why the lab cannot write to the user's home.

    Attributes
    ----------
    full
        True if the home has no free space. False if the lab cannot write to the home for another reason.
    reason
        The operating system's error message, or a message about the timeout.
    readable
        Whether the lab can still read files in the home.
    """

    full: bool
    reason: str
    readable: bool = False

    @property
    def notice(self) -> str:
        """The text of the notice with which the lab reports the problem to the user."""
        return (FULL_NOTICE if self.full else UNUSABLE_NOTICE).format(reason=self.reason)


def check_home(folder: Path) -> HomeProblem | None:
    """Write a file of 1 MB to the home and remove it. Return the problem, or None if the home works.

    The file always has the same name. If a lab is killed during the check, the check of the next lab removes the file.
    """
    file = folder / PROBE_NAME
    try:
        # Write random bytes. A full file system with compression could still store a file of zeros.
        remaining = os.urandom(PROBE_BYTES)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            while remaining:
                remaining = remaining[os.write(descriptor, remaining) :]
            os.fsync(descriptor)  # NFS and some quotas report an error of `write` only at `fsync`
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
    """A check of the home that runs in a thread. The method `wait` waits for the result of the check."""

    def __init__(self, folder: Path) -> None:
        self._problem: HomeProblem | None = None
        # Use a daemon thread. A thread that waits for a fileserver cannot be stopped, and Python waits at its exit only
        # for other threads.
        self._thread = threading.Thread(target=self._run, args=(folder,), daemon=True)
        self._thread.start()

    def _run(self, folder: Path) -> None:
        self._problem = check_home(folder)

    def wait(self, timeout: float = CHECK_SECONDS) -> HomeProblem | None:
        """Return the problem of the home, or None if the home works.

        If the check has no result within `timeout` seconds, the timeout is the problem.
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            return HomeProblem(full=False, reason=f"no answer within {timeout:.0f} s")
        return self._problem
