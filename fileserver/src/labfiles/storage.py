"""The storage: one file system, its folders, and the checks whether it can be used.

home, project   exported; only labfiles creates folders in their roots
recovery        Ganesha's: the clients that may reclaim their locks after a restart
labfiles        ours: the last scan, and folders that are being created
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
# Ganesha ignores these (populate_posix_file_systems), and then reports that the folder does not exist.
IGNORED_TYPES = {"tmpfs", "nfs", "nfs4"}
WANTED = "wanted one that can be exported (ext4, xfs or btrfs)"

# File handles of these contain the number of the device. Those of ext4 and btrfs contain the file system's UUID.
TYPES_WITH_DEVICE_HANDLES = {"xfs"}

libc = ctypes.CDLL(None, use_errno=True)


class StorageError(Exception):
    """The storage cannot be used. The message says what was found and what is wanted."""


class _Handle(ctypes.Structure):
    _fields_ = (
        ("handle_bytes", ctypes.c_uint),
        ("handle_type", ctypes.c_int),
        ("handle", ctypes.c_ubyte * MAX_HANDLE),
    )


@dataclass(frozen=True)
class Storage:
    """The folders of the storage."""

    root: Path

    @property
    def exports(self) -> tuple[Path, ...]:
        """The roots of the exports."""
        return tuple(self.root / name for name in EXPORTS)

    @property
    def home(self) -> Path:
        """The folder of the homes, whose names are UIDs."""
        return self.root / "home"

    @property
    def project(self) -> Path:
        """The folder of the project folders, whose names are GIDs."""
        return self.root / "project"

    @property
    def recovery(self) -> Path:
        """Ganesha's folder."""
        return self.root / "recovery"

    @property
    def own(self) -> Path:
        """The folder of labfiles."""
        return self.root / "labfiles"


def prepare_storage(root: Path) -> Storage:
    """Create the missing folders of the storage, and return it.

    Raises
    ------
    StorageError
        Raised if the storage cannot be used.
    """
    if not root.is_dir():
        raise StorageError(f"{root}: found {'a file' if root.exists() else 'nothing'}, wanted a folder: the volume")
    check_writable(root)
    storage = Storage(root)
    for path in storage.exports:
        create_folder(path, ROOT_MODE)
    for path in (storage.recovery, storage.own):
        create_folder(path, OWN_MODE)
    return storage


def check_writable(root: Path) -> None:
    """Check that a folder can be written. A full disk passes the check.

    Raises
    ------
    StorageError
        Raised if the file system or the mode of the folder forbids it.
    """
    if os.statvfs(root).f_flag & os.ST_RDONLY:
        raise StorageError(f"{root}: found a file system that is mounted read-only, wanted one to write to")
    if not os.access(root, os.W_OK | os.X_OK, effective_ids=True):
        status = root.stat()
        raise StorageError(
            f"{root}: found owner {status.st_uid}:{status.st_gid} and mode {stat.S_IMODE(status.st_mode):o}, "
            f"wanted a folder that user {os.geteuid()} may write to"
        )


def check_exportable(path: Path, mounts: str) -> None:
    """Check that a file system can be exported.

    Parameters
    ----------
    path
        A folder of the file system.
    mounts
        The text of /proc/mounts.

    Raises
    ------
    StorageError
        Raised if Ganesha ignores the file system, or if its files have no handles: clients need them after a restart.
    """
    kind = find_type(path, mounts)
    if kind in IGNORED_TYPES:
        raise StorageError(f"{path}: found a file system of type {kind}, {WANTED}")
    handle = _Handle(handle_bytes=MAX_HANDLE)
    mount = ctypes.c_int()
    if libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0):
        reason = os.strerror(ctypes.get_errno())
        raise StorageError(
            f"{path}: found a file system of type {kind} and name_to_handle_at: {reason}, {WANTED}, "
            "and a container engine that allows the call"
        )


def find_warning(path: Path, mounts: str) -> str:
    """Return a warning about a file system that can be exported, or an empty string.

    Parameters
    ----------
    path
        A folder of the file system.
    mounts
        The text of /proc/mounts.
    """
    kind = find_type(path, mounts)
    if kind not in TYPES_WITH_DEVICE_HANDLES:
        return ""
    return (
        f"{path}: found a file system of type {kind}, better is ext4: "
        "when this disk comes back as another device, labs get stale file handles"
    )


def find_type(path: Path, mounts: str) -> str:
    """Return the type of the file system that contains a folder."""
    types = {}
    for line in mounts.splitlines():  # a later mount hides an earlier one
        _, mount_point, kind, *_ = line.split()
        types[Path(mount_point.encode().decode("unicode_escape"))] = kind
    return next(types[folder] for folder in (path, *path.parents) if folder in types)


def create_folder(path: Path, mode: int) -> None:
    """Create a folder of this process's user, or restore the mode of an existing one.

    Raises
    ------
    StorageError
        Raised if something else or another user's folder is there, or if the disk refuses.
    """
    try:
        if not path.is_symlink() and not path.exists():
            path.mkdir()
    except OSError as error:
        raise StorageError(f"{path}: cannot be made: {error.strerror}") from error
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise StorageError(f"{path}: found something that is no folder, wanted a folder of root's")
    if status.st_uid != os.geteuid():
        raise StorageError(f"{path}: found owner {status.st_uid}, wanted owner {os.geteuid()}")
    if stat.S_IMODE(status.st_mode) != mode:
        path.chmod(mode)
