"""The storage: one file system, what lies where on it, and whether it will do.

home, project   exported; in their roots nobody makes anything but labfiles
recovery        Ganesha's: which clients may reclaim their locks after a restart
labfiles        ours: the last scan, and folders that are about to be made
"""

from __future__ import annotations

import ctypes
import os
import stat
from dataclasses import dataclass
from pathlib import Path

AT_FDCWD = -100
MAX_HANDLE = 128
EXPORTS = ("home", "project")
ROOT_MODE = 0o755
OWN_MODE = 0o700
# Of these Ganesha takes no notice (populate_posix_file_systems), and then says that the folder is not there.
PASSED_OVER = {"tmpfs", "nfs", "nfs4"}
WANTED = "wanted one that can be exported (ext4, xfs or btrfs)"

# Their handles name the device's number; those of ext4 and btrfs come of the file system's UUID.
BY_DEVICE = {"xfs"}

libc = ctypes.CDLL(None, use_errno=True)


class StorageError(Exception):
    """The storage will not do; the message says what was found and what is wanted."""


class _Handle(ctypes.Structure):
    _fields_ = (
        ("handle_bytes", ctypes.c_uint),
        ("handle_type", ctypes.c_int),
        ("handle", ctypes.c_ubyte * MAX_HANDLE),
    )


@dataclass(frozen=True)
class Storage:
    """Where everything lies."""

    root: Path

    @property
    def exports(self) -> tuple[Path, ...]:
        """The roots of the exports."""
        return tuple(self.root / name for name in EXPORTS)

    @property
    def home(self) -> Path:
        """Where homes lie, each named for its UID."""
        return self.root / "home"

    @property
    def project(self) -> Path:
        """Where project folders lie, each named for its GID."""
        return self.root / "project"

    @property
    def recovery(self) -> Path:
        """Ganesha's own."""
        return self.root / "recovery"

    @property
    def own(self) -> Path:
        """Ours."""
        return self.root / "labfiles"


def prepare(root: Path) -> Storage:
    """Make what is missing on the storage, and refuse one that will not do.

    Raises
    ------
    StorageError
        With what is wrong.
    """
    if not root.is_dir():
        raise StorageError(f"{root}: found {'a file' if root.exists() else 'nothing'}, wanted a folder: the volume")
    check_writable(root)
    storage = Storage(root)
    for path in storage.exports:
        make_folder(path, ROOT_MODE)
    for path in (storage.recovery, storage.own):
        make_folder(path, OWN_MODE)
    return storage


def check_writable(root: Path) -> None:
    """Refuse a folder that cannot be written to; a full disk is no reason.

    Raises
    ------
    StorageError
        It cannot be.
    """
    if os.statvfs(root).f_flag & os.ST_RDONLY:
        raise StorageError(f"{root}: found a file system that is mounted read-only, wanted one to write to")
    if not os.access(root, os.W_OK | os.X_OK, effective_ids=True):
        found = root.stat()
        raise StorageError(
            f"{root}: found owner {found.st_uid}:{found.st_gid} and mode {stat.S_IMODE(found.st_mode):o}, "
            f"wanted a folder that user {os.geteuid()} may write to"
        )


def check_exportable(path: Path, mounts: str) -> None:
    """Refuse a file system that cannot be exported.

    Parameters
    ----------
    path
        A folder of it.
    mounts
        What is mounted, as /proc/mounts has it.

    Raises
    ------
    StorageError
        Ganesha passes it over, or its files have no handles, by which a server knows them after a restart.
    """
    kind = file_system(path, mounts)
    if kind in PASSED_OVER:
        raise StorageError(f"{path}: found a file system of type {kind}, {WANTED}")
    handle = _Handle(handle_bytes=MAX_HANDLE)
    mount = ctypes.c_int()
    if libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0):
        why = os.strerror(ctypes.get_errno())
        raise StorageError(
            f"{path}: found a file system of type {kind} and name_to_handle_at: {why}, {WANTED}, "
            "and a container engine that allows the call"
        )


def find_doubt(path: Path, mounts: str) -> str:
    """Say in one line what is to be known of a file system that can be exported; nothing if there is nothing.

    Parameters
    ----------
    path
        A folder of it.
    mounts
        What is mounted, as /proc/mounts has it.
    """
    kind = file_system(path, mounts)
    if kind not in BY_DEVICE:
        return ""
    return (
        f"{path}: found a file system of type {kind}, better is ext4: "
        "when this disk comes back as another device, labs get stale file handles"
    )


def file_system(path: Path, mounts: str) -> str:
    """Give the type of the file system that a folder is on."""
    found = {}
    for line in mounts.splitlines():  # what was mounted last covers what was there before
        _, place, kind, *_ = line.split()
        found[Path(place.encode().decode("unicode_escape"))] = kind
    return next(found[place] for place in (path, *path.parents) if place in found)


def make_folder(path: Path, mode: int) -> None:
    """Make a folder of root's, or give it back its mode; refuse what is there and is something else.

    Raises
    ------
    StorageError
        It is, or the disk does not take it.
    """
    try:
        if not path.is_symlink() and not path.exists():
            path.mkdir()
    except OSError as error:
        raise StorageError(f"{path}: cannot be made: {error.strerror}") from error
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise StorageError(f"{path}: found something that is no folder, wanted a folder of root's")
    if found.st_uid != os.geteuid():
        raise StorageError(f"{path}: found owner {found.st_uid}, wanted owner {os.geteuid()}")
    if stat.S_IMODE(found.st_mode) != mode:
        path.chmod(mode)
