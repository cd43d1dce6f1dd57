"""What people do with their homes, one check each: a program for the machine with the NFS client.

`python client.py MOUNT API TOKEN` runs all of them on the fileserver's root mounted at MOUNT, and prints a line of JSON
for each. Every check is a process of its own, as the user and with the groups that it names.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import mmap
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

ADA, BOB, ROOT = 583231, 583232, 0
# As many as NFS carries, and one more; each has a project folder.
GROUPS = tuple(range(7000, 7016))
ONE_MORE = 7016
Check = Callable[["Site"], None]
CHECKS: dict[str, tuple[Check, int, tuple[int, ...]]] = {}


class Site:
    """Where everything is.

    Attributes
    ----------
    mount
        The fileserver's root.
    home
        Of whom the check runs as.
    project
        Of the first group.
    """

    def __init__(self, mount: Path, api: str, token: str, uid: int) -> None:
        self.mount, self._api, self._token = mount, api, token
        self.home, self.project = mount / f"home/{uid}", mount / f"project/{GROUPS[0]}"

    def make(self, path: str) -> int:
        """Ask for a folder as the hub does; give the status."""
        request = urllib.request.Request(  # noqa: S310  (our own URL)
            f"{self._api}/v1/{path}", method="PUT", headers={"Authorization": f"Bearer {self._token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return int(response.status)


def check(uid: int = ADA, groups: tuple[int, ...] = GROUPS) -> Callable[[Check], Check]:
    """Have a function run as this user with these groups."""

    def register(function: Check) -> Check:
        CHECKS[function.__name__] = (function, uid, groups)
        return function

    return register


def become(uid: int, groups: tuple[int, ...]) -> None:
    """Be somebody else from here on."""
    os.setgroups(groups)
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.environ["HOME"] = tempfile.mkdtemp()  # the machine's own disk: an emptyDir in a lab


@contextmanager
def refused(*numbers: int) -> Iterator[None]:
    """Expect an error."""
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise
    else:
        raise AssertionError(f"it was allowed, wanted one of {[os.strerror(number) for number in numbers]}")


class Other:
    """A call in another process of the same user.

    The machine has no shared memory, which the pools of multiprocessing want.
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
        """Wait for its end; give what the function gave."""
        with os.fdopen(self._read) as pipe:
            given = pipe.read()
        assert os.waitpid(self.pid, 0)[1] == 0, "it failed"
        return json.loads(given)


def in_another_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in another process; give what it gives."""
    return Other(function, *arguments).result()


# --- files ------------------------------------------------------------------------------------------------------------


@check()
def files_and_folders_are_made_read_renamed_and_removed(site: Site) -> None:
    folder = site.home / "a"
    folder.mkdir()
    (folder / "file").write_text("one")
    with (folder / "file").open("a") as file:
        file.write(" two")
    assert in_another_process((folder / "file").read_text) == "one two"
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
    with refused(errno.ENOTEMPTY):
        folder.rmdir()
    shutil.rmtree(folder)
    with refused(errno.ENOENT):
        folder.stat()


@check()
def what_is_made_is_the_users(site: Site) -> None:
    (site.home / "mine").write_text("x")
    found = (site.home / "mine").stat()
    assert (found.st_uid, found.st_gid) == (ADA, ADA)


@check()
def a_file_that_is_open_and_removed_can_still_be_read(site: Site) -> None:
    with (site.home / "gone").open("w+") as file:
        file.write("still here")
        file.flush()
        (site.home / "gone").unlink()
        file.seek(0)
        assert file.read() == "still here"


@check()
def a_thousand_files_are_listed_once_each(site: Site) -> None:
    folder = site.home / "many"
    folder.mkdir()
    for number in range(1000):
        (folder / str(number)).touch()
    assert sorted(map(int, os.listdir(folder))) == list(range(1000))


@check()
def a_large_file_comes_back_as_it_was(site: Site) -> None:
    block = os.urandom(2**20)
    with (site.home / "large").open("wb") as file:
        for _ in range(64):
            file.write(block)
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with (site.home / "large").open("rb") as file:
        for _ in range(64):
            assert file.read(2**20) == block


@check()
def a_mapped_file_is_shared_between_processes(site: Site) -> None:
    path = site.home / "mapped"
    path.write_bytes(bytes(2 * mmap.PAGESIZE))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[mmap.PAGESIZE : mmap.PAGESIZE + 5] = b"hello"
        mapped.flush()
        assert in_another_process(path.read_text)[mmap.PAGESIZE :][:5] == "hello"
        in_another_process(write_at, path, 10, b"back")
        assert mapped[10:14] == b"back"


def write_at(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


# --- locks ------------------------------------------------------------------------------------------------------------


def can_lock(lock: Callable[[int, int], None], path: Path) -> bool:
    """Tell whether nobody else has the lock."""
    with path.open("r+") as file:
        try:
            lock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise
            return False
        return True


def locks_exclude(lock: Callable[[int, int], None], path: Path) -> None:
    path.touch()
    assert in_another_process(can_lock, lock, path)
    with path.open("r+") as file:
        lock(file.fileno(), fcntl.LOCK_EX)
        assert not in_another_process(can_lock, lock, path)
        lock(file.fileno(), fcntl.LOCK_UN)
        assert in_another_process(can_lock, lock, path)


@check()
def flock_keeps_another_process_out(site: Site) -> None:
    locks_exclude(fcntl.flock, site.home / "flock")


@check()
def a_posix_lock_keeps_another_process_out(site: Site) -> None:
    locks_exclude(fcntl.lockf, site.home / "lockf")


def wait_for_lock(path: Path) -> float:
    with path.open("r+") as file:
        fcntl.lockf(file.fileno(), fcntl.LOCK_EX)
        return time.time()


@check()
def who_waits_for_a_lock_gets_it_when_it_is_free(site: Site) -> None:
    path = site.home / "waited-for"
    path.touch()
    with path.open("r+") as file:
        fcntl.lockf(file.fileno(), fcntl.LOCK_EX)
        waiting = Other(wait_for_lock, path)
        time.sleep(0.5)  # it cannot be seen to wait
        released = time.time()
        fcntl.lockf(file.fileno(), fcntl.LOCK_UN)
        assert released <= waiting.result()


def insert(path: Path, first: int, count: int) -> None:
    with closing(sqlite3.connect(path, timeout=60)) as database:
        for number in range(first, first + count):
            with database:
                database.execute("INSERT INTO t VALUES (?)", (number,))


@check()
def two_processes_write_into_one_sqlite_database(site: Site) -> None:
    path = site.home / "database"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    for other in [Other(insert, path, first, 25) for first in (0, 1000)]:
        other.result()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT count(*) FROM t").fetchone() == (50,)


# --- programs ---------------------------------------------------------------------------------------------------------


def git(*arguments: str | Path, folder: Path) -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(["git", *who, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@check()
def git_commits_clones_and_finds_nothing_wrong(site: Site) -> None:
    origin = site.home / "origin"
    origin.mkdir()
    git("init", "-q", folder=origin)
    for number in range(100):
        (origin / f"{number}.py").write_text(f"print({number})\n" * number)
    git("add", ".", folder=origin)
    git("commit", "-qm", "all", folder=origin)
    git("clone", "-q", f"file://{origin}", "clone", folder=site.home)
    assert git("status", "--porcelain", folder=site.home / "clone") == ""
    git("fsck", "--strict", folder=site.home / "clone")
    assert (site.home / "clone/99.py").read_text() == (origin / "99.py").read_text()


async def save_notebook(folder: Path) -> None:
    """Save, checkpoint, change, restore and rename a notebook as JupyterLab does."""
    from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
    from nbformat.v4 import new_code_cell, new_notebook

    manager = AsyncLargeFileManager(root_dir=str(folder))
    notebook = new_notebook(cells=[new_code_cell("1 + 1")])
    model = {"type": "notebook", "format": "json", "content": notebook}
    await manager.save(dict(model), "work.ipynb")
    kept = await manager.create_checkpoint("work.ipynb")
    model["content"] = new_notebook(cells=[new_code_cell("2 + 2")])
    await manager.save(dict(model), "work.ipynb")
    assert (await manager.get("work.ipynb"))["content"]["cells"][0]["source"] == "2 + 2"
    await manager.restore_checkpoint(kept["id"], "work.ipynb")
    assert (await manager.get("work.ipynb"))["content"]["cells"][0]["source"] == "1 + 1"
    await manager.rename("work.ipynb", "done.ipynb")
    for chunk, text in ((1, "one"), (2, "two"), (-1, "three")):
        upload = {"type": "file", "format": "text", "content": text, "chunk": chunk}
        await manager.save(upload, "upload.txt")
    assert (await manager.get("upload.txt"))["content"] == "onetwothree"
    assert {"done.ipynb", "upload.txt"} <= set(os.listdir(folder))
    assert not [name for name in os.listdir(folder) if "~" in name], "what an atomic save leaves behind"


@check()
def jupyterlabs_own_file_manager_saves_a_notebook(site: Site) -> None:
    folder = site.home / "notebooks"
    folder.mkdir()
    asyncio.run(save_notebook(folder))


# --- who may do what --------------------------------------------------------------------------------------------------


@check(uid=BOB)
def another_user_is_kept_out_of_a_home(site: Site) -> None:
    home = site.mount / f"home/{ADA}"
    for attempt in (os.listdir, os.rmdir, lambda path: (path / "x").touch(), lambda path: path.chmod(0o777)):
        with refused(errno.EACCES, errno.EPERM):
            attempt(home)
    with refused(errno.EACCES, errno.EPERM):
        home.rename(site.mount / "home/taken")


@check(uid=ROOT, groups=())
def root_on_a_node_is_nobody(site: Site) -> None:
    home = site.mount / f"home/{ADA}"
    for attempt in (os.listdir, lambda path: (path / "x").touch(), lambda path: os.chown(path, 0, 0)):
        with refused(errno.EACCES, errno.EPERM):
            attempt(home)
    for root in ("home", "project"):
        with refused(errno.EACCES):
            (site.mount / root / "by-root").touch()


@check()
def nobody_makes_anything_beside_the_homes(site: Site) -> None:
    for root in ("home", "project"):
        with refused(errno.EACCES):
            (site.mount / root / "5001").mkdir()


@check()
def nobody_gives_files_away_or_takes_roots_bits(site: Site) -> None:
    (site.home / "mine-alone").touch()
    with refused(errno.EPERM):
        os.chown(site.home / "mine-alone", BOB, -1)
    with refused(errno.EPERM):
        os.chown(site.home / "mine-alone", -1, ONE_MORE)
    os.chown(site.home / "mine-alone", -1, GROUPS[0])


@check(uid=BOB)
def each_of_sixteen_groups_counts(site: Site) -> None:
    for gid in GROUPS:
        (site.mount / f"project/{gid}/bobs").write_text("x")


@check(uid=BOB, groups=(*GROUPS, ONE_MORE))
def a_seventeenth_group_is_not_carried(site: Site) -> None:
    with refused(errno.EACCES):
        os.listdir(site.mount / f"project/{ONE_MORE}")


@check(uid=BOB, groups=())
def who_is_in_no_group_sees_no_project(site: Site) -> None:
    with refused(errno.EACCES):
        os.listdir(site.project)


@check()
def a_project_hands_its_group_on(site: Site) -> None:
    os.umask(0o002)
    folder = site.project / "shared"
    folder.mkdir()
    (folder / "paper").write_text("ada")
    assert folder.stat().st_gid == (folder / "paper").stat().st_gid == GROUPS[0]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2775


@check(uid=BOB)
def another_member_writes_what_a_member_made(site: Site) -> None:
    (site.project / "shared/paper").write_text("bob")
    (site.project / "shared/another").touch()


@check()
def a_project_folder_is_nobodys_to_move_or_open(site: Site) -> None:
    for attempt in (
        lambda path: path.rename(path.with_name("taken")),
        lambda path: path.chmod(0o777),
        lambda path: os.chown(path, ADA, -1),
    ):
        with refused(errno.EPERM, errno.EACCES):
            attempt(site.project)


# --- what the hub asks for --------------------------------------------------------------------------------------------


@check(uid=9000)
def a_home_is_there_as_soon_as_it_was_made(site: Site) -> None:
    os.listdir(site.mount / "home")
    assert site.make("homes/9000") == 201
    (site.home / "first").write_text("x")


# A client believes a folder for 30 s (acdirmin), for up to 60 (acdirmax) where it has found it unchanged before; then
# the server may for 5.
CLIENT_SECONDS = 80


@check(uid=9001)
def a_home_that_was_looked_for_in_vain_is_there_when_the_client_asks_again(site: Site) -> None:
    os.listdir(site.mount / "home")
    with refused(errno.ENOENT):
        site.home.stat()
    assert site.make("homes/9001") == 201
    start = time.monotonic()
    while not site.home.exists():
        assert time.monotonic() - start < CLIENT_SECONDS, "the server says that it is not there"
        time.sleep(0.5)
    (site.home / "first").write_text("x")


def run(function: Check, uid: int, groups: tuple[int, ...], site: tuple[Path, str, str]) -> None:
    """Run one check as its user, and print what came of it."""
    start, error = time.monotonic(), ""
    try:
        if uid != ROOT:
            become(uid, groups)
        function(Site(*site, uid))
    except BaseException:
        error = traceback.format_exc()
    told = {"check": function.__name__, "seconds": round(time.monotonic() - start, 2), "error": error}
    print(json.dumps(told), flush=True)


def main() -> None:
    """Run all."""
    mount, api, token = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    site = Site(mount, api, token, ADA)
    for path in (f"homes/{ADA}", f"homes/{BOB}", *(f"projects/{gid}" for gid in (*GROUPS, ONE_MORE))):
        assert site.make(path) == 201
    # Users may not be able to read where our Python lies, so all that is imported late is loaded before.
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(save_notebook(Path(folder)))
    for function, uid, groups in CHECKS.values():
        in_another_process(run, function, uid, groups, (mount, api, token))


if __name__ == "__main__":
    main()
