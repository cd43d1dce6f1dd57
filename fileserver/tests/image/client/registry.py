"""The list of checks, and their common code: users, groups, the mounted share, and calls in another process."""

from __future__ import annotations

import json
import os
import sys
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ADA, BOB, ROOT = 583231, 583232, 0
# GROUPS has the GIDs of 16 groups, which is the maximum that AUTH_SYS transmits. ONE_MORE is another group. Each of the
# 17 groups has a project folder.
GROUPS = tuple(range(7000, 7016))
ONE_MORE = 7016
Check = Callable[["Share"], None]
CHECKS: dict[str, tuple[Check, int, tuple[int, ...]]] = {}


class Share:
    """The mounted fileserver and its API.

    Attributes
    ----------
    mount
        The folder where the root of the fileserver is mounted.
    home
        The home of the user who runs the check.
    project
        The project folder of the first group.
    """

    def __init__(self, mount: Path, api: str, token: str, uid: int) -> None:
        self.mount, self._api, self._token = mount, api, token
        self.home, self.project = mount / f"home/{uid}", mount / f"project/{GROUPS[0]}"

    def request_folder(self, path: str) -> int:
        """Request a folder from labfiles, as the hub does, and return the HTTP status."""
        request = urllib.request.Request(  # noqa: S310  (our own URL)
            f"{self._api}/v1/{path}", method="PUT", headers={"Authorization": f"Bearer {self._token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return int(response.status)


def check(uid: int = ADA, groups: tuple[int, ...] = GROUPS) -> Callable[[Check], Check]:
    """Return a decorator that registers a function as a check.

    The program runs the check as this user with these groups.
    """

    def register(function: Check) -> Check:
        CHECKS[function.__name__] = (function, uid, groups)
        return function

    return register


@contextmanager
def expect_error(*numbers: int) -> Iterator[None]:
    """Check that the block raises an OSError with one of these error numbers."""
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise
    else:
        raise AssertionError(f"no error, wanted one of {[os.strerror(number) for number in numbers]}")


class OtherProcess:
    """A function call in a forked process of the same user.

    The class does not use multiprocessing, because the pools of multiprocessing need shared memory, which a client may
    lack.
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._read, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.write(write, json.dumps(function(*arguments)).encode())
                status = 0
            except BaseException:
                traceback.print_exc(file=sys.stdout)
            finally:
                sys.stdout.flush()
                os._exit(status)
        os.close(write)

    def result(self) -> Any:
        """Wait until the process has ended, and return the result of the function."""
        with os.fdopen(self._read) as pipe:
            output = pipe.read()
        assert os.waitpid(self.pid, 0)[1] == 0, "the function failed in the other process"
        return json.loads(output)


def call_in_another_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in another process, and return its result."""
    return OtherProcess(function, *arguments).result()
