"""The home directory, which may be full or broken, which must not keep anyone from their lab."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROBE_NAME = ".lab-probe"
PROBE_BYTES = 1024 * 1024
# A file server that is gone makes its clients wait for ever.
PROBE_SECONDS = 15.0
FULL = {errno.ENOSPC, errno.EDQUOT}

# JupyterLab shows the first 140 characters of a notification.
FULL_NOTICE = "Your home is full ({reason}): delete something before you save anything, or it may be lost."
UNUSABLE_NOTICE = "Nothing that you save here is kept: your home cannot be used ({reason}), an empty one stands in."


@dataclass(frozen=True)
class Finding:
    """What is wrong with a home.

    Attributes
    ----------
    full
        There is no room in it; otherwise it cannot be written for another reason.
    reason
        The operating system's words.
    readable
        What is in it can at least be looked at.
    """

    full: bool
    reason: str
    readable: bool = False

    @property
    def notice(self) -> str:
        """What the lab tells its user."""
        return (FULL_NOTICE if self.full else UNUSABLE_NOTICE).format(reason=self.reason)


def probe(folder: Path) -> Finding | None:
    """Write a file of 1 MB to the disk and remove it; None: all is well.

    Its name is always the same, so that what a killed lab leaves behind is removed by the next one.
    """
    file = folder / PROBE_NAME
    try:
        # Random, because a file system that compresses would find room for zeros.
        left = os.urandom(PROBE_BYTES)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)  # NFS and some quotas tell only now
        finally:
            os.close(descriptor)
    except OSError as error:
        readable = os.access(folder, os.R_OK | os.X_OK)
        return Finding(error.errno in FULL, error.strerror or type(error).__name__, readable)
    finally:
        with suppress(OSError):
            file.unlink()
    return None


class Probing:
    """A probe that has been started and that one does not wait for longer than so many seconds."""

    def __init__(self, folder: Path) -> None:
        self._finding: Finding | None = None
        # A daemon: nothing can end it while it waits for a file server, and nothing is to wait for it.
        self._thread = threading.Thread(target=self._run, args=(folder,), daemon=True)
        self._thread.start()

    def _run(self, folder: Path) -> None:
        self._finding = probe(folder)

    def result(self, timeout: float = PROBE_SECONDS) -> Finding | None:
        """Give what was found."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            return Finding(full=False, reason=f"no answer within {timeout:.0f} s")
        return self._finding
