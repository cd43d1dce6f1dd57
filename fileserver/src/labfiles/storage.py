"""The storage: one file system with the folders in this list, and checks of the storage at the start of the programs.

home, project   the exports; only labfiles creates folders in their roots
recovery        Ganesha's list of clients that may reclaim their locks after a restart
labfiles        the results of the last scan, and folders that labfiles is creating
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
# Ganesha ignores file systems of these types (function populate_posix_file_systems), and then reports that the exported
# folder does not exist.
IGNORED_TYPES = {"tmpfs", "nfs", "nfs4"}
WANTED = "wanted one that can be exported (ext4, xfs or btrfs)"

# On file systems of these types, Ganesha's file handles contain the device number of the disk. On ext4 and btrfs, file
# handles contain the UUID of the file system.
TYPES_WITH_DEVICE_HANDLES = {"xfs"}

libc = ctypes.CDLL(None, use_errno=True)


class StorageError(Exception):
    """A storage that cannot be used. The message has the found state and the required state."""


class _Handle(ctypes.Structure):
    _fields_ = (
        ("handle_bytes", ctypes.c_uint),
        ("handle_type", ctypes.c_int),
        ("handle", ctypes.c_ubyte * MAX_HANDLE),
    )


@dataclass(frozen=True)
class Storage:
    """The folders of the storage.

    Attributes
    ----------
    root
        The folder where the volume is mounted.
    """

    root: Path

    @property
    def exports(self) -> tuple[Path, ...]:
        """The folders that Ganesha exports: `home` and `project`."""
        return tuple(self.root / name for name in EXPORTS)

    @property
    def home(self) -> Path:
        """The folder that contains the homes. The name of a home is the UID of its user."""
        return self.root / "home"

    @property
    def project(self) -> Path:
        """The folder that contains the project folders. The name of a project folder is the GID of its organization."""
        return self.root / "project"

    @property
    def recovery(self) -> Path:
        """The folder in which Ganesha stores the clients that may reclaim their locks after a restart."""
        return self.root / "recovery"

    @property
    def own(self) -> Path:
        """The folder for the data of labfiles: results of scans, and folders that are being created."""
        return self.root / "labfiles"


def prepare_storage(root: Path) -> Storage:
    """Check the storage and create its missing folders. Return the storage.

    Raises
    ------
    StorageError
        Raised if the storage is missing or read-only, or if one of its folders cannot be used.
    """
    if not root.is_dir():
        raise StorageError(f"{root}: found {'a file' if root.exists() else 'nothing'}, wanted the folder of the volume")
    check_writable(root)
    storage = Storage(root)
    for path in storage.exports:
        create_folder(path, ROOT_MODE)
    for path in (storage.recovery, storage.own):
        create_folder(path, OWN_MODE)
    return storage


def check_writable(root: Path) -> None:
    """Check that this process may write to a folder. The check succeeds even if the disk is full.

    Raises
    ------
    StorageError
        Raised if the file system is read-only, or if the mode of the folder forbids writing.
    """
    if os.statvfs(root).f_flag & os.ST_RDONLY:
        raise StorageError(f"{root}: found a file system that is mounted read-only, wanted a writable one")
    if not os.access(root, os.W_OK | os.X_OK, effective_ids=True):
        status = root.stat()
        raise StorageError(
            f"{root}: found owner {status.st_uid}:{status.st_gid} and mode {stat.S_IMODE(status.st_mode):o}, "
            f"wanted a folder that user {os.geteuid()} may write to"
        )


def check_exportable(path: Path, mounts: str) -> None:
    """Check that Ganesha can export the file system of a folder.

    Parameters
    ----------
    path
        A folder of the file system.
    mounts
        The text of /proc/mounts.

    Raises
    ------
    StorageError
        Raised if Ganesha ignores file systems of this type, or if the kernel provides no file handles for the file
        system. NFS clients identify files by handles.
    """
    kind = find_type(path, mounts)
    if kind in IGNORED_TYPES:
        raise StorageError(f"{path}: found a file system of type {kind}, {WANTED}")
    handle = _Handle(handle_bytes=MAX_HANDLE)
    mount = ctypes.c_int()
    if libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0):
        reason = os.strerror(ctypes.get_errno())
        raise StorageError(
            f"{path}: found a file system of type {kind} on which name_to_handle_at fails ({reason}), {WANTED}, "
            "and a container runtime that allows this system call"
        )


def find_warning(path: Path, mounts: str) -> str:
    """Return a warning if the file system of a folder has a known problem. Otherwise return an empty string.

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
        f"{path}: found a file system of type {kind}, ext4 is recommended: "
        "if the device number of this disk changes, running labs get stale file handles"
    )


def find_type(path: Path, mounts: str) -> str:
    """Return the type of the file system that contains a folder, from the text of /proc/mounts."""
    types = {}
    for line in mounts.splitlines():  # a later mount on a folder hides an earlier one
        _, mount_point, kind, *_ = line.split()
        types[Path(mount_point.encode().decode("unicode_escape"))] = kind
    return next(types[folder] for folder in (path, *path.parents) if folder in types)


def create_folder(path: Path, mode: int) -> None:
    """Create a folder with this mode, owned by this process's user. If the folder exists, restore its mode.

    Raises
    ------
    StorageError
        Raised if the path is not a folder, if another user owns it, or if it cannot be created.
    """
    try:
        if not path.is_symlink() and not path.exists():
            path.mkdir()
    except OSError as error:
        raise StorageError(f"{path}: cannot create the folder: {error.strerror}") from error
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise StorageError(f"{path}: found something other than a folder, wanted a folder that root owns")
    if status.st_uid != os.geteuid():
        raise StorageError(f"{path}: found owner {status.st_uid}, wanted owner {os.geteuid()}")
    if stat.S_IMODE(status.st_mode) != mode:
        path.chmod(mode)
