"""How the NFS server starts: look at the storage, make what is missing, become Ganesha. `python -m labfiles.start`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from labfiles.confine import ConfineError, confine
from labfiles.storage import StorageError, check_exportable, find_doubt, prepare

STORAGE = Path("/storage")
GANESHA = "/usr/bin/ganesha.nfsd"
COMMAND = [GANESHA, "-F", "-f", "/etc/ganesha/ganesha.conf", "-L", "/dev/stdout", "-p", "/run/ganesha/ganesha.pid"]


def main() -> None:
    """Start, or end with one line that says why not."""
    try:
        prepare(STORAGE)
        mounts = Path("/proc/mounts").read_text()
        check_exportable(STORAGE, mounts)
        warn(mounts)
        confine()
    except (StorageError, ConfineError) as error:
        sys.exit(f"fileserver: {error}")
    os.umask(0)
    os.execv(GANESHA, COMMAND)  # noqa: S606  (it is to be this process)


def warn(mounts: str) -> None:
    """Say in one line what is to be known of the storage, if there is something; it starts all the same."""
    if doubt := find_doubt(STORAGE, mounts):
        sys.stderr.write(f"fileserver: {doubt}\n")


if __name__ == "__main__":
    main()
