"""The program that runs all checks on the NFS client."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from fileserver.tests.image.client import CHECKS
from fileserver.tests.image.client.programs import save_notebook
from fileserver.tests.image.client.registry import (
    ADA,
    BOB,
    GROUPS,
    ONE_MORE,
    ROOT,
    Check,
    Share,
    call_in_another_process,
)


def become_user(uid: int, groups: tuple[int, ...]) -> None:
    """Change the user and the groups of this process, and set HOME to a temporary folder."""
    os.setgroups(groups)
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.environ["HOME"] = tempfile.mkdtemp()  # a local folder, for the configuration of git and other programs


def run_check(function: Check, uid: int, groups: tuple[int, ...], share: tuple[Path, str, str]) -> None:
    """Run one check as this user and with these groups, and print the result."""
    start, error = time.monotonic(), ""
    try:
        if uid != ROOT:
            become_user(uid, groups)
        function(Share(*share, uid))
    except BaseException:
        error = traceback.format_exc()
    result = {"check": function.__name__, "seconds": round(time.monotonic() - start, 2), "error": error}
    print(json.dumps(result), flush=True)


def main() -> None:
    """Request the homes and project folders, and run all checks."""
    mount, api, token = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    share = Share(mount, api, token, ADA)
    for path in (f"homes/{ADA}", f"homes/{BOB}", *(f"projects/{gid}" for gid in (*GROUPS, ONE_MORE))):
        assert share.request_folder(path) == 201
    # Run the notebook check once as root, so that all of its modules are imported. The users may lack the right to read
    # the modules' files.
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(save_notebook(Path(folder)))
    for function, uid, groups in CHECKS.values():
        call_in_another_process(run_check, function, uid, groups, (mount, api, token))


if __name__ == "__main__":
    main()
