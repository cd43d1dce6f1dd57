"""Checks of the time until a new home appears on a client. labfiles creates homes directly on the disk, without NFS."""

from __future__ import annotations

import errno
import os
import time

from fileserver.tests.image.client.registry import Share, check, expect_error


@check(uid=9000)
def a_new_home_exists_at_once(share: Share) -> None:
    os.listdir(share.mount / "home")
    assert share.request_folder("homes/9000") == 201
    (share.home / "first").write_text("x")


# A client caches the content of a folder for 30 s (acdirmin). If the folder has not changed for long, the limit is 60 s
# (acdirmax). After this time, the server can answer from its own cache for 5 s more.
CLIENT_SECONDS = 80


@check(uid=9001)
def a_home_that_was_missing_appears_later(share: Share) -> None:
    os.listdir(share.mount / "home")
    with expect_error(errno.ENOENT):
        share.home.stat()
    assert share.request_folder("homes/9001") == 201
    start = time.monotonic()
    while not share.home.exists():
        assert time.monotonic() - start < CLIENT_SECONDS, "the client does not see the home"
        time.sleep(0.5)
    (share.home / "first").write_text("x")
