"""How the NFS server starts: look at the storage, make what is missing, become Ganesha. `python -m labfiles.start`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from labfiles.confine import ConfineError, confine
from labfiles.storage import StorageError, check_exportable, prepare

STORAGE = Path("/storage")
GANESHA = "/usr/bin/ganesha.nfsd"
COMMAND = [GANESHA, "-F", "-f", "/etc/ganesha/ganesha.conf", "-L", "/dev/stdout", "-p", "/run/ganesha/ganesha.pid"]


def main() -> None:
    """Start, or end with one line that says why not."""
    try:
        prepare(STORAGE)
        check_exportable(STORAGE, Path("/proc/mounts").read_text())
        confine()
    except (StorageError, ConfineError) as error:
        sys.exit(f"fileserver: {error}")
    os.umask(0)
    os.execv(GANESHA, COMMAND)  # noqa: S606  (it is to be this process)


if __name__ == "__main__":
    main()
