"""The check of the home directory: a full or broken home must not keep a user from the lab."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROBE_NAME = ".lab-probe"
PROBE_BYTES = 1024 * 1024
# A hard NFS mount waits for ever for a file server that is gone.
CHECK_SECONDS = 15.0
FULL_ERRORS = {errno.ENOSPC, errno.EDQUOT}

# JupyterLab shows the first 140 characters of a notification.
FULL_NOTICE = "Your home is full ({reason}): delete something before you save anything, or it may be lost."
UNUSABLE_NOTICE = "Nothing that you save here is kept: your home cannot be used ({reason}), an empty one stands in."


@dataclass(frozen=True)
class HomeProblem:
    """What is wrong with a home.

    Attributes
    ----------
    full
        The home has no room; False: it cannot be written for another reason.
    reason
        The operating system's words.
    readable
        The files in it can be read.
    """

    full: bool
    reason: str
    readable: bool = False

    @property
    def notice(self) -> str:
        """The notice to the user."""
        return (FULL_NOTICE if self.full else UNUSABLE_NOTICE).format(reason=self.reason)


def check_home(folder: Path) -> HomeProblem | None:
    """Write a file of 1 MB to the disk and remove it. Return the problem, or None if there is none.

    The file always has the same name, so that the next lab removes what a killed lab left behind.
    """
    file = folder / PROBE_NAME
    try:
        # Random, because a file system that compresses would find room for zeros.
        left = os.urandom(PROBE_BYTES)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            while left:
                left = left[os.write(descriptor, left) :]
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
    """A check of the home that runs in a thread. Its result is waited for with a timeout."""

    def __init__(self, folder: Path) -> None:
        self._problem: HomeProblem | None = None
        # A daemon: nothing can end a thread that waits for a file server, and the process must not wait for it.
        self._thread = threading.Thread(target=self._run, args=(folder,), daemon=True)
        self._thread.start()

    def _run(self, folder: Path) -> None:
        self._problem = check_home(folder)

    def wait(self, timeout: float = CHECK_SECONDS) -> HomeProblem | None:
        """Return the problem, or None if there is none. No answer within the timeout (seconds) is a problem."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            return HomeProblem(full=False, reason=f"no answer within {timeout:.0f} s")
        return self._problem
