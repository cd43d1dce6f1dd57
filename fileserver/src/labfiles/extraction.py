"""The extraction of a tar archive into an open folder, as root, without following symbolic links.

An archive contains links that users have created, and a link can lead to any other folder. So each system call is
relative to an open folder, and opens or creates one name without following a link.
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePosixPath
from tarfile import TarFile, TarInfo

from labfiles.folders import OPEN_FOLDER

CHUNK = 1 << 20
CREATE_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# The modes that a restore keeps. The setuid and setgid bits of files are dropped, because they have no effect: nodes
# mount the exports with `nosuid`. The setgid bit of folders is kept: it sets the group of new files.
FILE_BITS, FOLDER_BITS = 0o777, 0o3777


class SkippedError(Exception):
    """The error for an archive's entry that is not extracted. The message has the reason."""


@dataclass(frozen=True)
class Access:
    """Owner and mode of a folder."""

    uid: int
    gid: int
    mode: int


@dataclass
class Extraction:
    """The state of an extraction: the target folder, and the entries that were extracted so far.

    Attributes
    ----------
    folder
        The file descriptor of the target folder. Only root may access the folder until `finish` is called.
    default
        Owner and mode of the target folder, and of parent folders that the archive does not contain.
    files
        Number of extracted files and links.
    """

    folder: int
    default: Access
    files: int = 0
    _folders: dict[PurePosixPath, TarInfo | None] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether no entry was extracted so far."""
        return not self.files and not self._folders

    def add(self, archive: TarFile, entry: TarInfo, path: PurePosixPath, link: PurePosixPath | None) -> None:
        """Extract one entry of the archive into the target folder.

        Parameters
        ----------
        path
            The path of the entry, relative to the target folder.
        link
            The target of a hard link, relative to the target folder. None if the link leads out of the target folder.

        Raises
        ------
        SkippedError
            Raised if the entry cannot be extracted.
        OSError
            Raised if the disk is full or broken.
        """
        parent = self._open_folder(path.parent, create=True)
        try:
            if entry.isdir():
                self._create_folder(parent, path.name)
                self._folders[path] = entry
                return
            remove_file(parent, path.name)
            if entry.islnk():
                self._create_link(parent, path.name, link, entry.linkname)
            elif entry.issym():
                os.symlink(entry.linkname, path.name, dir_fd=parent)
                os.chown(path.name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
                os.utime(path.name, ns=read_times(entry), dir_fd=parent, follow_symlinks=False)
            elif entry.isfile():
                write_file(archive, entry, parent, path.name)
            else:
                raise SkippedError("a special file")
            self.files += 1
        finally:
            os.close(parent)

    def finish(self) -> None:
        """Set owners, modes and times of all extracted folders, from the innermost to the outermost."""
        for path, entry in sorted(self._folders.items(), key=lambda item: len(item[0].parts), reverse=True):
            folder = self._open_folder(path)
            try:
                if entry is None:
                    set_access(folder, self.default)
                else:
                    set_access(folder, Access(entry.uid, entry.gid, entry.mode & FOLDER_BITS))
                    os.utime(folder, ns=read_times(entry))
            finally:
                os.close(folder)
        set_access(self.folder, self.default)

    def _open_folder(self, path: PurePosixPath, *, create: bool = False) -> int:
        """Open a folder inside the target folder. With `create`, first create missing folders on the path."""
        folder = os.dup(self.folder)
        try:
            for depth, name in enumerate(path.parts, start=1):
                if create:
                    self._create_folder(folder, name)
                    self._folders.setdefault(PurePosixPath(*path.parts[:depth]), None)
                inner = os.open(name, OPEN_FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
        except BaseException:
            os.close(folder)
            raise
        return folder

    def _create_folder(self, parent: int, name: str) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                raise SkippedError(f"the backup has {name!r} as a file or link, too") from None

    def _create_link(self, parent: int, name: str, link: PurePosixPath | None, shown: str) -> None:
        if link is None:
            raise SkippedError(f"a hard link to {shown}, which is outside the folder")
        try:
            other = self._open_folder(link.parent)
            try:
                os.link(link.name, name, src_dir_fd=other, dst_dir_fd=parent, follow_symlinks=False)
            finally:
                os.close(other)
        except (FileNotFoundError, NotADirectoryError):
            raise SkippedError(f"a hard link to {shown}: restore that path, too") from None


def write_file(archive: TarFile, entry: TarInfo, parent: int, name: str) -> None:
    """Write a regular file with its owner, mode and times."""
    content = archive.extractfile(entry)
    if content is None:
        raise SkippedError("the backup has no content of it")
    with os.fdopen(os.open(name, CREATE_FILE, 0o600, dir_fd=parent), "wb") as file:
        shutil.copyfileobj(content, file, CHUNK)
        file.flush()
        os.fchown(file.fileno(), entry.uid, entry.gid)
        os.fchmod(file.fileno(), entry.mode & FILE_BITS)
        os.utime(file.fileno(), ns=read_times(entry))


def remove_file(parent: int, name: str) -> None:
    """Remove an earlier version of a file. If an archive has several versions of a file, the last version is kept."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        raise SkippedError("the backup has a folder with this name, too") from None


def set_access(folder: int, access: Access) -> None:
    """Set mode and owner of an open folder.

    Without CAP_FSETID, a process can set the setgid bit only while the folder belongs to the group of the process. So
    the function sets the mode before the final owner. The kernel keeps the bit when the owner changes.
    """
    os.fchown(folder, -1, os.getegid())
    os.fchmod(folder, access.mode)
    os.fchown(folder, access.uid, access.gid)


def read_times(entry: TarInfo) -> tuple[int, int]:
    """Return the access time and the modification time for `os.utime`, in nanoseconds.

    Both are the modification time of the entry.
    """
    # `TarInfo.mtime` is a float, which does not have enough digits for nanoseconds.
    modified = round(Decimal(entry.pax_headers.get("mtime", str(entry.mtime))) * 10**9)
    return modified, modified
