"""The program `python -m labfiles.restore FOLDER [PATH ...] < backup.tar`, which restores files of one folder.

FOLDER is `home/<uid>` or `project/<gid>`. The program puts the files into a new folder `restored-<date>` in FOLDER, and
changes nothing else. Without a PATH it restores all files.

FOLDER belongs to users, who may change its content during the restore. The new folder belongs to root until the restore
is complete, so users can neither change nor read its content. A user can rename the new folder, which is harmless: the
program keeps it open and does not use its name.
"""

from __future__ import annotations

import argparse
import fcntl
import io
import os
import shutil
import stat
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from labfiles.extraction import CHUNK, Access, Extraction, SkippedError
from labfiles.folders import HOME, OPEN_FOLDER, PROJECT, FolderKind, InvalidIdError, parse_id

STORAGE = Path("/storage")
KINDS = {kind.export: kind for kind in (HOME, PROJECT)}
# The end of a complete archive: two blocks of zeros (POSIX pax).
END = b"\0" * 1024
PREFIX = "restored-"
INCOMPLETE_MODE = 0o700


class RestoreError(Exception):
    """A restore that is not possible. The message has the reason. The program has changed nothing in FOLDER."""


class Backup(io.BufferedIOBase):
    """The stream of a tar archive. The object stores the last bytes, which show whether the archive is complete."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream, self._last = stream, b""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes of the archive."""
        size = -1 if size is None else size
        data = self._stream.read(size)
        self._last = (self._last + data)[-len(END) :]
        return data

    def check_end(self) -> None:
        """Read the rest of the archive, and check that the archive is complete.

        Raises
        ------
        RestoreError
            Raised if the end of the archive is missing.
        """
        while self.read(CHUNK):
            pass
        if self._last != END:
            raise RestoreError("standard input ended within the archive, wanted a complete backup")


def parse_folder(text: str) -> tuple[FolderKind, int]:
    """Parse `home/<uid>` or `project/<gid>`. Raise a RestoreError for any other text."""
    export, _, number = text.strip("/").partition("/")
    try:
        return KINDS[export], parse_id(number)
    except (KeyError, InvalidIdError):
        raise RestoreError(f"found the folder {text!r}, wanted home/<uid> or project/<gid>") from None


def parse_path(text: str) -> PurePosixPath:
    """Parse a PATH of the command line, relative to FOLDER. Raise a RestoreError if the path leads out of FOLDER."""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise RestoreError(f"found the path {text!r}, wanted one relative to the folder, for example notebooks/a.ipynb")
    return path


def find_relative(name: str, folder: PurePosixPath) -> PurePosixPath | None:
    """Return the path of an archive's entry relative to `folder`, or None if the entry is not in `folder`."""
    path = PurePosixPath(name.removeprefix("./"))
    if ".." in path.parts or not path.is_relative_to(folder) or path == folder:
        return None
    return path.relative_to(folder)


@contextmanager
def new_folder(parent: int, today: str) -> Iterator[tuple[int, str]]:
    """Create a folder that only root may access, and yield its descriptor and name.

    If the block fails, remove the folder.
    """
    remove_leftovers(parent)
    name, number = PREFIX + today, 1
    while True:
        try:
            os.mkdir(name, INCOMPLETE_MODE, dir_fd=parent)
            break
        except FileExistsError:
            number += 1
            name = f"{PREFIX}{today}-{number}"
    try:
        folder = os.open(name, OPEN_FOLDER, dir_fd=parent)
    except OSError as error:  # a user has removed or replaced the new folder
        raise RestoreError(f"{name}: changed during the restore, try again") from error
    try:
        # A user can replace the new folder before this program opens it. But the replacement cannot belong to root, so
        # this check detects the replacement.
        if not is_incomplete(folder) or os.listdir(folder):
            raise RestoreError(f"{name}: changed during the restore, try again")
        fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            yield folder, name
        except BaseException:
            remove_folder(parent, name, folder)
            raise
    finally:
        os.close(folder)


def is_incomplete(folder: int) -> bool:
    """Return whether a restore has created this open folder and not completed it. Users cannot create such a folder."""
    status = os.fstat(folder)
    # Compare only the permission bits, because a new folder in a project folder also gets the setgid bit.
    return status.st_uid == os.geteuid() and status.st_mode & 0o777 == INCOMPLETE_MODE


def remove_leftovers(parent: int) -> None:
    """Remove the incomplete folders of killed restores. Users cannot remove these folders, which belong to root."""
    for name in os.listdir(parent):
        if not name.startswith(PREFIX):
            continue
        with suppress(OSError):  # the name belongs to a link or a file of a user
            folder = os.open(name, OPEN_FOLDER, dir_fd=parent)
            try:
                if is_incomplete(folder):
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while another restore uses the folder
                    remove_folder(parent, name, folder)
            finally:
                os.close(folder)


def remove_folder(parent: int, name: str, folder: int) -> None:
    """Remove the content of an incomplete folder. Remove the folder itself too, unless a user has renamed it."""
    for inner in os.listdir(folder):
        if stat.S_ISDIR(os.stat(inner, dir_fd=folder, follow_symlinks=False).st_mode):
            shutil.rmtree(inner, dir_fd=folder)
        else:
            os.unlink(inner, dir_fd=folder)
    with suppress(OSError):
        os.rmdir(name, dir_fd=parent)


def extract(stream: BinaryIO, folder: PurePosixPath, paths: Sequence[PurePosixPath], into: Extraction) -> None:
    """Extract the entries below `paths` from an archive. Without paths, extract all entries of the folder.

    Raises
    ------
    RestoreError
        Raised if the archive is damaged, or does not contain a wanted path.
    OSError
        Raised if the disk is full or broken.
    """
    backup = Backup(stream)
    missing = set(paths)
    try:
        with tarfile.open(fileobj=backup, mode="r|") as archive:
            while (entry := archive.next()) is not None:
                # tarfile keeps a list of all entries. Clear the list, because millions of entries would not fit into
                # the container's memory.
                archive.members = []  # type: ignore[attr-defined]
                path = find_relative(entry.name, folder)
                wanted = {one for one in paths if path and path.is_relative_to(one)}
                if path is None or (paths and not wanted):
                    continue
                missing -= wanted
                try:
                    into.add(archive, entry, path, find_relative(entry.linkname, folder))
                except SkippedError as error:
                    sys.stderr.write(f"skipped {path}: {error}\n")
        backup.check_end()
    except tarfile.TarError as error:
        raise RestoreError(f"cannot read standard input: {error}; wanted an uncompressed tar archive") from error
    if missing:
        raise RestoreError(f"the backup does not contain {', '.join(sorted(str(folder / path) for path in missing))}")
    if into.is_empty:
        raise RestoreError(f"the backup contains no file of {folder} that can be restored")


def restore(storage: Path, folder: str, paths: Sequence[str], stream: BinaryIO) -> str:
    """Restore files of a home or a project folder, and return a line with the result.

    Raises
    ------
    RestoreError
        Raised if the files cannot be restored. The function has changed nothing.
    OSError
        Raised if the disk is full or broken. The function has removed the new folder.
    """
    kind, number = parse_folder(folder)
    wanted = [parse_path(path) for path in paths]
    name = PurePosixPath(kind.export, str(number))
    root = os.open(storage / kind.export, OPEN_FOLDER)
    try:
        parent = os.open(str(number), OPEN_FOLDER, dir_fd=root)
    except OSError as error:
        raise RestoreError(f"/{name}: {error.strerror}; a user's first lab creates the folder") from error
    finally:
        os.close(root)
    try:
        with new_folder(parent, f"{datetime.now(UTC):%Y-%m-%d}") as (inside, new):
            extraction = Extraction(inside, Access(*kind.owner(number), kind.mode))
            extract(stream, name, wanted, extraction)
            os.sync()
            extraction.finish()
    finally:
        os.close(parent)
    return f"restored {extraction.files} files to /{name}/{new}"


def main() -> None:
    """Restore the files that the command line names. If the restore fails, print the error in one line and exit."""
    parser = argparse.ArgumentParser(prog="labfiles.restore", description=__doc__)
    parser.add_argument("folder", metavar="FOLDER", help="home/<uid> or project/<gid>")
    parser.add_argument("paths", metavar="PATH", nargs="*", help="a file or folder in FOLDER (default: all)")
    parser.add_argument("--storage", type=Path, default=STORAGE, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.umask(0)
    os.nice(10)  # requests of the hub have priority over a restore
    try:
        line = restore(options.storage, options.folder, options.paths, sys.stdin.buffer)
    except RestoreError as error:
        sys.exit(f"restore: {error}")
    except OSError as error:
        sys.exit(f"restore: {error.strerror or error}; nothing was restored")
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
