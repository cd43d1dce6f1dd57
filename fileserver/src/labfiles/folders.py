"""Creation of homes and project folders, as root on behalf of users.

A folder in an export is always complete. labfiles creates the folder outside the exports, sets the owner and mode, and
then renames the folder into the export. The rename does not replace anything. Each system call is relative to an open
folder and does not follow symlinks.
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

from labfiles.storage import OWN_MODE, Storage, create_folder, libc

logger = logging.getLogger(__name__)

RENAME_NOREPLACE = 1
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# The range of ids that the hub assigns to users and organizations, except RESERVED_IDS, which operating systems use.
FIRST_ID, LAST_ID = 1000, 2**31 - 1
RESERVED_IDS = range(60000, 65536)
NUMBER = re.compile("[1-9][0-9]{0,9}", re.ASCII)


class InvalidIdError(ValueError):
    """An invalid id of a user or an organization. The message has the range of ids."""


class FolderConflictError(Exception):
    """An unexpected file or folder at the path of a home or project folder.

    The message has the found and the expected state.
    """


@dataclass(frozen=True)
class FolderKind:
    """The kind of a folder: home or project folder.

    Attributes
    ----------
    name
        The name in log lines and metrics.
    export
        The name of the NFS export that contains folders of this kind.
    mode
        The permissions of a folder.
    owned_by_user
        Whether a user owns the folder. If False, root owns the folder and a group has access.
    """

    name: str
    export: str
    mode: int
    owned_by_user: bool

    def owner(self, number: int) -> tuple[int, int]:
        """Return the UID and the GID that own the folder with this id."""
        return (number if self.owned_by_user else 0, number)


HOME = FolderKind("home", "home", 0o700, owned_by_user=True)
PROJECT = FolderKind("project", "project", 0o2770, owned_by_user=False)


def parse_id(text: str) -> int:
    """Parse a UID or GID that is written in decimal digits.

    Raises
    ------
    InvalidIdError
        Raised if the hub would not assign this id.
    """
    number = int(text) if NUMBER.fullmatch(text) else 0
    if not FIRST_ID <= number <= LAST_ID or number in RESERVED_IDS:
        raise InvalidIdError(
            f"found the id {text[:40]!r}, wanted a number from {FIRST_ID} to {LAST_ID}, "
            f"not {RESERVED_IDS.start} to {RESERVED_IDS.stop - 1}"
        )
    return number


class FolderService:
    """A service that creates homes and project folders on one storage.

    Several threads can call `ensure` at the same time.
    """

    def __init__(self, storage: Storage) -> None:
        making = storage.own / "making"
        create_folder(making, OWN_MODE)
        self._making = os.open(making, OPEN_FOLDER)
        for name in os.listdir(self._making):  # remove incomplete folders of a killed process
            os.rmdir(name, dir_fd=self._making)
        self._roots = {kind: os.open(storage.root / kind.export, OPEN_FOLDER) for kind in (HOME, PROJECT)}
        self._lock = threading.Lock()

    def ensure(self, kind: FolderKind, number: int, asked_by: str) -> bool:
        """Create a folder. If the folder exists, check its owner.

        Returns
        -------
        bool
            Whether this call created the folder.

        Raises
        ------
        FolderConflictError
            Raised if the path is not a folder, or if the folder has another owner.
        OSError
            Raised if the disk is full or broken.
        """
        with self._lock:
            if self._check_existing(kind, number):
                return False
            self._create(kind, number)
        uid, gid = kind.owner(number)
        created = {"path": f"/{kind.export}/{number}", "owner": f"{uid}:{gid}", "mode": f"{kind.mode:04o}"}
        logger.info("created a %s folder", kind.name, extra={**created, "asked_by": asked_by})
        return True

    def _check_existing(self, kind: FolderKind, number: int) -> bool:
        """Return whether the folder exists.

        Raise a FolderConflictError if the path has another owner or is not a folder.
        """
        try:
            folder = os.open(str(number), OPEN_FOLDER, dir_fd=self._roots[kind])
        except FileNotFoundError:
            return False
        except OSError as error:  # ELOOP means a symlink, ENOTDIR a file
            mode = os.stat(str(number), dir_fd=self._roots[kind], follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                raise
            message = f"/{kind.export}/{number}: found {describe_type(mode)}, wanted a folder"
            raise FolderConflictError(message) from error
        try:
            status = os.fstat(folder)
            check_owner(kind, number, status)
            if stat.S_IMODE(status.st_mode) != kind.mode and kind is HOME:
                os.fchmod(folder, kind.mode)
                logger.info("restored the mode of a home", extra={"path": f"/{kind.export}/{number}"})
        finally:
            os.close(folder)
        return True

    def _create(self, kind: FolderKind, number: int) -> None:
        root, name = self._roots[kind], f"{kind.name}-{number}-{secrets.token_hex(8)}"
        os.mkdir(name, 0o700, dir_fd=self._making)
        try:
            folder = os.open(name, OPEN_FOLDER, dir_fd=self._making)
            try:
                # Call fchmod before fchown. After fchown the folder belongs to a group of which this process is not a
                # member. A process without CAP_FSETID cannot set the setgid bit of such a folder.
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


def check_owner(kind: FolderKind, number: int, status: os.stat_result) -> None:
    """Check that an existing folder belongs to the user or the group.

    Raises
    ------
    FolderConflictError
        Raised if a home has another owner, or if a project folder has another group or mode.
    """
    uid, gid = kind.owner(number)
    if kind is HOME:
        # The group of a home is not checked, because users may change it to one of their groups.
        if status.st_uid != uid:
            raise FolderConflictError(f"/{kind.export}/{number}: found owner {status.st_uid}, wanted {uid}")
    elif (status.st_gid, stat.S_IMODE(status.st_mode)) != (gid, kind.mode):
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        raise FolderConflictError(
            f"/{kind.export}/{number}: found owner {status.st_uid}:{status.st_gid} and mode {mode}, "
            f"wanted {uid}:{gid} and mode {kind.mode:04o}"
        )


def describe_type(mode: int) -> str:
    """Return words for the type of a file that is not a folder, for an error message."""
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a file" if stat.S_ISREG(mode) else "a special file"


def move(from_folder: int, name: str, to_folder: int, new_name: str) -> None:
    """Rename a folder with renameat2, and fail if the new name exists.

    The system call rename would replace an existing empty folder.

    Raises
    ------
    OSError
        Raised if the new name exists (FileExistsError), or if the rename fails.
    """
    if libc.renameat2(from_folder, os.fsencode(name), to_folder, os.fsencode(new_name), RENAME_NOREPLACE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new_name)
