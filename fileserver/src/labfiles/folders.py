"""Homes and project folders: the one place where root makes something on users' behalf.

A folder is there whole or not at all: it gets its owner and mode outside the exports, and is then moved to its place,
where it replaces nothing. No path is followed: every step is relative to a folder that is open, and takes no symlink.
"""

from __future__ import annotations

import ctypes
import logging
import os
import re
import secrets
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

from labfiles.storage import OWN_MODE, Storage, libc, make_folder

logger = logging.getLogger(__name__)

RENAME_NOREPLACE = 1
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What the hub gives people and organizations; numbers that systems keep for themselves are none.
RESERVED = range(60000, 65536)
FIRST_ID, LAST_ID = 1000, 2**31 - 1
NUMBER = re.compile("[1-9][0-9]{0,9}", re.ASCII)


class BadIdError(ValueError):
    """It is no number of a person or an organization; the message says what is wanted."""


class TakenError(Exception):
    """Something else is there; the message says what, and what is wanted."""


@dataclass(frozen=True)
class Kind:
    """What makes a home a home, and a project folder one.

    Attributes
    ----------
    name
        As log lines have it.
    export
        The folder of the storage where they lie.
    """

    name: str
    export: str
    mode: int
    owned_by_user: bool

    def owner(self, number: int) -> tuple[int, int]:
        """Give UID and GID of a folder."""
        return (number if self.owned_by_user else 0, number)


HOME = Kind("home", "home", 0o700, owned_by_user=True)
PROJECT = Kind("project", "project", 0o2770, owned_by_user=False)


def parse_id(text: str) -> int:
    """Read a UID or GID.

    Raises
    ------
    BadIdError
        It is none that the hub would give.
    """
    number = int(text) if NUMBER.fullmatch(text) else 0
    if not FIRST_ID <= number <= LAST_ID or number in RESERVED:
        raise BadIdError(
            f"found the id {text[:40]!r}, wanted a number from {FIRST_ID} to {LAST_ID}, "
            f"not {RESERVED.start} to {RESERVED.stop - 1}"
        )
    return number


class Folders:
    """Makes folders on one storage; safe to use from several threads."""

    def __init__(self, storage: Storage) -> None:
        making = storage.own / "making"
        make_folder(making, OWN_MODE)
        self._making = os.open(making, OPEN_FOLDER)
        for left in os.listdir(self._making):  # what was begun when somebody killed us
            os.rmdir(left, dir_fd=self._making)
        self._roots = {kind: open_root(storage.root / kind.export) for kind in (HOME, PROJECT)}
        self._lock = threading.Lock()

    def make(self, kind: Kind, number: int, asked_by: str) -> bool:
        """Make a folder, or see that it is there as it should be.

        Returns
        -------
        bool
            Whether it was made just now.

        Raises
        ------
        TakenError
            Something is there that is not such a folder.
        OSError
            The disk is full, or broken.
        """
        with self._lock:
            if self._check(kind, number):
                return False
            self._make(kind, number)
        uid, gid = kind.owner(number)
        made = {"path": f"/{kind.export}/{number}", "owner": f"{uid}:{gid}", "mode": f"{kind.mode:04o}"}
        logger.info("made a %s folder", kind.name, extra={"fields": {**made, "asked_by": asked_by}})
        return True

    def _check(self, kind: Kind, number: int) -> bool:
        """Tell whether the folder is there; refuse another thing of its name."""
        try:
            folder = os.open(str(number), OPEN_FOLDER, dir_fd=self._roots[kind])
        except FileNotFoundError:
            return False
        except OSError as error:  # ELOOP: a symlink; ENOTDIR: a file
            found = os.stat(str(number), dir_fd=self._roots[kind], follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                raise
            raise TakenError(f"/{kind.export}/{number}: found {name_type(found.st_mode)}, wanted a folder") from error
        try:
            found = os.fstat(folder)
            check_owner(kind, number, found)
            if stat.S_IMODE(found.st_mode) != kind.mode and kind is HOME:
                os.fchmod(folder, kind.mode)
                logger.info("mode put back", extra={"fields": {"path": f"/{kind.export}/{number}"}})
        finally:
            os.close(folder)
        return True

    def _make(self, kind: Kind, number: int) -> None:
        root, name = self._roots[kind], f"{kind.name}-{number}-{secrets.token_hex(8)}"
        os.mkdir(name, 0o700, dir_fd=self._making)
        try:
            folder = os.open(name, OPEN_FOLDER, dir_fd=self._making)
            try:
                # In this order: of another's group, the kernel would drop the bit that hands it on (CAP_FSETID).
                os.fchmod(folder, kind.mode)
                os.fchown(folder, *kind.owner(number))
                os.fsync(folder)
            finally:
                os.close(folder)
            move(self._making, name, root, str(number))
        except BaseException:
            os.rmdir(name, dir_fd=self._making)
            raise
        os.fsync(root)


def open_root(path: Path) -> int:
    """Open the root of an export."""
    return os.open(path, OPEN_FOLDER)


def check_owner(kind: Kind, number: int, found: os.stat_result) -> None:
    """Refuse a folder that is somebody else's.

    Raises
    ------
    TakenError
        It is.
    """
    uid, gid = kind.owner(number)
    wanted = f"{uid}:{gid}"
    if kind is HOME:
        # The user may give their home to one of their groups; that is no reason to keep them out.
        if found.st_uid != uid:
            raise TakenError(f"/{kind.export}/{number}: found owner {found.st_uid}, wanted {uid}")
    elif (found.st_gid, stat.S_IMODE(found.st_mode)) != (gid, kind.mode):
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise TakenError(
            f"/{kind.export}/{number}: found owner {found.st_uid}:{found.st_gid} and mode {mode}, "
            f"wanted {wanted} and mode {kind.mode:04o}"
        )


def name_type(mode: int) -> str:
    """Say what is there instead of a folder."""
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a file" if stat.S_ISREG(mode) else "something special"


def move(from_folder: int, name: str, to_folder: int, new_name: str) -> None:
    """Rename, and replace nothing: rename(2) alone takes the place of an empty folder.

    Raises
    ------
    OSError
        Something is there (FileExistsError), or the disk refuses.
    """
    if libc.renameat2(from_folder, os.fsencode(name), to_folder, os.fsencode(new_name), RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new_name)
