"""The program `python -m labfiles.ganesha_launcher`, which starts the NFS server.

The program checks the storage, creates missing folders, loads the seccomp filter and replaces itself with Ganesha.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from labfiles.seccomp import FilterError, load_filter
from labfiles.storage import StorageError, check_exportable, find_warning, prepare_storage

STORAGE = Path("/storage")
GANESHA = "/usr/bin/ganesha.nfsd"
COMMAND = [GANESHA, "-F", "-f", "/etc/ganesha/ganesha.conf", "-L", "/dev/stdout", "-p", "/run/ganesha/ganesha.pid"]


def main() -> None:
    """Prepare the storage and replace this process with Ganesha.

    If a step fails, print the error in one line and exit.
    """
    try:
        prepare_storage(STORAGE)
        mounts = Path("/proc/mounts").read_text()
        check_exportable(STORAGE, mounts)
        print_warning(mounts)
        load_filter()
    except (StorageError, FilterError) as error:
        sys.exit(f"fileserver: {error}")
    os.umask(0)
    os.execv(GANESHA, COMMAND)  # noqa: S606  (Ganesha replaces this process)


def print_warning(mounts: str) -> None:
    """Print one line of warning if the file system of the storage has a known problem."""
    if warning := find_warning(STORAGE, mounts):
        sys.stderr.write(f"fileserver: {warning}\n")


if __name__ == "__main__":
    main()
