"""Checks of the usual operations on files and folders."""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import stat
from pathlib import Path

from fileserver.tests.image.client.registry import ADA, Share, call_in_another_process, check, expect_error


@check()
def files_and_folders_are_created_renamed_and_removed(share: Share) -> None:
    folder = share.home / "a"
    folder.mkdir()
    (folder / "file").write_text("one")
    with (folder / "file").open("a") as file:
        file.write(" two")
    assert call_in_another_process((folder / "file").read_text) == "one two"
    (folder / "file").rename(folder / "Übung 日本")
    (folder / "other").write_text("other")
    (folder / "other").replace(folder / "Übung 日本")
    (folder / "link").symlink_to("Übung 日本")
    (folder / "hard").hardlink_to(folder / "Übung 日本")
    assert sorted(os.listdir(folder)) == ["hard", "link", "Übung 日本"]
    assert (folder / "link").read_text() == "other"
    assert (folder / "hard").stat().st_nlink == 2
    os.utime(folder / "hard", (1, 2))
    (folder / "hard").chmod(0o640)
    os.truncate(folder / "hard", 2)
    found = (folder / "hard").stat()
    assert (found.st_mtime > 2, stat.S_IMODE(found.st_mode), found.st_size) == (True, 0o640, 2)
    with expect_error(errno.ENOTEMPTY):
        folder.rmdir()
    shutil.rmtree(folder)
    with expect_error(errno.ENOENT):
        folder.stat()


@check()
def a_new_file_belongs_to_the_user(share: Share) -> None:
    (share.home / "mine").write_text("x")
    found = (share.home / "mine").stat()
    assert (found.st_uid, found.st_gid) == (ADA, ADA)


@check()
def a_removed_file_that_is_open_can_be_read(share: Share) -> None:
    with (share.home / "gone").open("w+") as file:
        file.write("still here")
        file.flush()
        (share.home / "gone").unlink()
        file.seek(0)
        assert file.read() == "still here"


@check()
def a_thousand_files_are_listed_once_each(share: Share) -> None:
    folder = share.home / "many"
    folder.mkdir()
    for number in range(1000):
        (folder / str(number)).touch()
    assert sorted(map(int, os.listdir(folder))) == list(range(1000))


@check()
def a_large_file_comes_back_as_it_was(share: Share) -> None:
    block = os.urandom(2**20)
    with (share.home / "large").open("wb") as file:
        for _ in range(64):
            file.write(block)
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with (share.home / "large").open("rb") as file:
        for _ in range(64):
            assert file.read(2**20) == block


@check()
def a_mapped_file_is_shared_between_processes(share: Share) -> None:
    path = share.home / "mapped"
    path.write_bytes(bytes(2 * mmap.PAGESIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[mmap.PAGESIZE : mmap.PAGESIZE + 5] = b"hello"
        mapped.flush()
        assert call_in_another_process(path.read_text)[mmap.PAGESIZE :][:5] == "hello"
        call_in_another_process(write_at, path, 10, b"back")
        assert mapped[10:14] == b"back"


def write_at(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
