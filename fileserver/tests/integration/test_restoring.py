"""Tests of `labfiles.restore` on real files as root: restored files, refused archives, and links of users."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from labtesting.fileserver import SOURCE, as_root, root_command
from labtesting.hub_process import wait_until

USER, VICTIM, GROUP = 5000, 6000, 7000
NEW = f"restored-{datetime.now(UTC):%Y-%m-%d}"
# A command prefix that limits a process to the capabilities of the container `labfiles`
CAPABILITIES = ("setpriv", "--inh-caps=-all", "--bounding-set=-all,+chown,+dac_override,+fowner", "--clear-groups")


@dataclass(frozen=True)
class Disk:
    """A storage with a project folder and two homes: of a user, and of a victim whose files the user must not reach."""

    root: Path

    @property
    def home(self) -> Path:
        """The home of the user."""
        return self.root / f"home/{USER}"

    @property
    def victim(self) -> Path:
        """The home of the victim."""
        return self.root / f"home/{VICTIM}"

    def run(self, script: str, uid: int = USER, folder: str = "") -> None:
        """Run a shell script as this user. The current folder is the user's home, or `folder` in the storage."""
        start = 'cd "$1" && exec setpriv --reuid="$2" --regid="$2" --groups="$3" bash -euc "$4"'
        folder = folder or f"home/{uid}"
        as_root("bash", "-euc", start, "bash", self.root / folder, str(uid), str(GROUP), f"umask 022; {script}")

    def back_up(self) -> bytes:
        """Return a backup of the storage, created with the tar command of docs/admin/storage.md."""
        command = ["tar", "-C", str(self.root), "--numeric-owner", "--format=posix", "-cf", "-", "home", "project"]
        return subprocess.run([*root_command(), *command], capture_output=True, check=True).stdout

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a restore with the capabilities of the container `labfiles`."""
        program = [sys.executable, "-m", "labfiles.restore", "--storage", str(self.root), *arguments]
        command = [*root_command(), *CAPABILITIES, "env", f"PYTHONPATH={SOURCE}", *program]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)

    def restore(self, backup: bytes, *arguments: str) -> tuple[int, str]:
        """Run a restore, and return its exit status and its output."""
        running = self.start(*arguments)
        out, err = running.communicate(backup, timeout=180)
        return running.returncode, (out + err).decode()

    def list_files(self, folder: str, *, times: bool = True) -> list[str]:
        """Return a line for each file below a folder: path, owner, mode, type, link target and modification time."""
        shown = "%P %U:%G %m %y %l" + (" %T@" if times else "")
        command = ["find", str(self.root / folder), "-mindepth", "1", "-printf", f"{shown}\n"]
        done = subprocess.run([*root_command(), *command], capture_output=True, text=True, check=True)
        return sorted(done.stdout.splitlines())

    def read(self, path: str) -> str:
        """Return the content of a file in the storage."""
        command = [*root_command(), "cat", str(self.root / path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """Create a storage with two homes, files in the homes, and a project folder."""
    found = Disk(tmp_path / "storage")
    for path, owner, mode in (
        ("home", "0:0", "755"),
        ("project", "0:0", "755"),
        (f"home/{USER}", f"{USER}:{USER}", "700"),
        (f"home/{VICTIM}", f"{VICTIM}:{VICTIM}", "700"),
        (f"project/{GROUP}", f"0:{GROUP}", "2770"),
    ):
        as_root("mkdir", "-p", found.root / path)
        as_root("chown", owner, found.root / path)
        as_root("chmod", mode, found.root / path)
    found.run("mkdir -p data/deep; echo one > data/deep/f; echo two > data/kept; chmod 640 data/kept")
    found.run("echo secret > kept", VICTIM)
    return found


def craft(*entries: tuple[str, bytes, str]) -> bytes:
    """Return an archive of the user's home with these entries.

    An entry has a name, a type, and the content or link target.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, text in entries:
            entry = tarfile.TarInfo(f"home/{USER}/{name}")
            entry.type, entry.uid, entry.gid, entry.mode = kind, USER, USER, 0o644
            content = text.encode() if kind == tarfile.REGTYPE else b""
            entry.size, entry.linkname = len(content), "" if content else text
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_a_whole_home_is_restored_into_a_new_folder(disk: Disk) -> None:
    disk.run("ln data/kept data/twice; ln -s /project/7000 link; mkdir -m 2750 shared")
    disk.run("touch -d @1.123456789 data/deep/f")
    before, backup = disk.list_files(f"home/{USER}"), disk.back_up()
    disk.run("rm -r data link shared")
    assert disk.restore(backup, f"home/{USER}") == (0, f"restored 4 files to /home/{USER}/{NEW}\n")
    assert disk.list_files(f"home/{USER}/{NEW}") == before
    (folder,) = disk.list_files(f"home/{USER}", times=False)[:1]
    assert folder == f"{NEW} {USER}:{USER} 700 d "
    disk.run(f'[ "$(stat -c %h {NEW}/data/twice)" = 2 ]; mv {NEW}/data .; rm -r {NEW}')


def test_only_the_named_paths_are_restored(disk: Disk) -> None:
    backup = disk.back_up()
    assert disk.restore(backup, f"home/{USER}", "data/deep")[0] == 0
    assert [line.split()[0] for line in disk.list_files(f"home/{USER}/{NEW}")] == ["data", "data/deep", "data/deep/f"]
    assert disk.list_files(f"home/{USER}/{NEW}", times=False)[0] == f"data {USER}:{USER} 700 d "


def test_existing_files_are_not_changed(disk: Disk) -> None:
    backup = disk.back_up()
    disk.run("echo newer > data/kept")
    for number in ("", "-2", "-3"):
        assert disk.restore(backup, f"home/{USER}", "data/kept") == (
            0,
            f"restored 1 files to /home/{USER}/{NEW}{number}\n",
        )
    assert disk.read(f"home/{USER}/data/kept") == "newer\n"
    assert disk.read(f"home/{USER}/{NEW}-3/data/kept") == "two\n"


def test_a_project_folder_keeps_its_group(disk: Disk) -> None:
    disk.run("umask 002; mkdir sub; echo one > sub/f", folder=f"project/{GROUP}")
    backup = disk.back_up()
    assert disk.restore(backup, f"project/{GROUP}")[0] == 0
    lines = [line.split()[:3] for line in disk.list_files(f"project/{GROUP}") if line.startswith("restored")]
    assert lines == [
        [NEW, f"0:{GROUP}", "2770"],
        [f"{NEW}/sub", f"{USER}:{GROUP}", "2775"],
        [f"{NEW}/sub/f", f"{USER}:{GROUP}", "664"],
    ]


ATTACKS = {
    "a link in place of a folder": f"rm -r data; ln -s ../{VICTIM} data",
    "a link in place of the file": f"rm data/kept; ln -s ../../{VICTIM}/kept data/kept",
    "a link in place of the new folder": f"ln -s ../{VICTIM} {NEW}",
    "a dangling link in place of the new folder": f"ln -s ../{VICTIM}/data {NEW}",
    "a folder in place of the new folder": f"mkdir {NEW}; ln -s ../../{VICTIM} {NEW}/data",
}


@pytest.mark.parametrize("script", ATTACKS.values(), ids=ATTACKS)
def test_a_link_in_the_home_is_not_followed(script: str, disk: Disk) -> None:
    backup, before = disk.back_up(), disk.list_files(f"home/{VICTIM}")
    disk.run(script)
    status, output = disk.restore(backup, f"home/{USER}", "data/kept")
    assert status == 0
    assert disk.read(output.split()[-1].lstrip("/") + "/data/kept") == "two\n"
    assert disk.list_files(f"home/{VICTIM}") == before
    assert disk.read(f"home/{VICTIM}/kept") == "secret\n"


@pytest.mark.parametrize("entry", [tarfile.SYMTYPE, tarfile.LNKTYPE], ids=["symbolic link", "hard link"])
def test_a_link_in_the_backup_is_not_followed(entry: bytes, disk: Disk) -> None:
    before = disk.list_files(f"home/{VICTIM}")
    links = {tarfile.SYMTYPE: str(disk.victim), tarfile.LNKTYPE: f"home/{VICTIM}/kept"}
    backup = craft(
        ("x", entry, links[entry]),
        ("x/kept", tarfile.REGTYPE, "changed"),
        (f"../{VICTIM}/kept", tarfile.REGTYPE, "changed"),
        ("own", tarfile.REGTYPE, "own"),
    )
    status, output = disk.restore(backup, f"home/{USER}")
    assert status == 0
    assert "skipped x" in output
    assert disk.list_files(f"home/{VICTIM}") == before
    assert disk.read(f"home/{VICTIM}/kept") == "secret\n"
    assert disk.read(f"home/{USER}/{NEW}/own") == "own"


def test_special_files_are_skipped(disk: Disk) -> None:
    backup = craft(("null", tarfile.CHRTYPE, ""), ("pipe", tarfile.FIFOTYPE, ""), ("own", tarfile.REGTYPE, "own"))
    status, output = disk.restore(backup, f"home/{USER}")
    assert (status, output.count("a special file")) == (0, 2)
    assert [line.split()[0] for line in disk.list_files(f"home/{USER}/{NEW}")] == ["own"]


def feed(running: subprocess.Popen[bytes], data: bytes) -> None:
    """Write a part of an archive to the standard input of a restore."""
    assert running.stdin is not None
    running.stdin.write(data)
    running.stdin.flush()


@pytest.fixture
def large(disk: Disk) -> tuple[bytes, Callable[[], bool]]:
    """Return a backup with a file of 4 MB, and a function that returns whether a restore has created this file."""
    disk.run("yes | head -c 4000000 > data/large")
    backup = disk.back_up()
    disk.run("rm data/large")

    def is_partly_written() -> bool:
        return any("data/large" in line for line in disk.list_files(f"home/{USER}"))

    return backup, is_partly_written


def test_a_user_cannot_change_a_running_restore(disk: Disk, large: tuple[bytes, Callable[[], bool]]) -> None:
    backup, is_partly_written = large
    running = disk.start(f"home/{USER}")
    feed(running, backup[:2000000])
    wait_until(is_partly_written, "the file is partly written")
    for command in (f"ls {NEW}", f"rm -rf {NEW}", f"touch {NEW}/data/x", f"chmod 777 {NEW}", f"rmdir {NEW}"):
        with pytest.raises(subprocess.CalledProcessError):
            disk.run(command)
    disk.run(f"mv {NEW} moved; ln -s ../{VICTIM} {NEW}")
    before = disk.list_files(f"home/{VICTIM}")
    out, err = running.communicate(backup[2000000:], timeout=180)
    assert running.returncode == 0, (out, err)
    assert disk.list_files(f"home/{VICTIM}") == before
    assert disk.read(f"home/{USER}/moved/data/kept") == "two\n"
    disk.run("echo mine >> moved/data/kept")


def test_a_backup_that_is_cut_off_restores_nothing(disk: Disk, large: tuple[bytes, Callable[[], bool]]) -> None:
    backup, _ = large
    before = disk.list_files(f"home/{USER}", times=False)
    last = len(backup.rstrip(b"\0"))
    for length in (700, 2000000, last + 512 - last % 512):
        status, output = disk.restore(backup[:length], f"home/{USER}")
        assert (status, output.startswith("restore: "), output.count("\n")) == (1, True, 1)
        assert disk.list_files(f"home/{USER}", times=False) == before


def test_the_folder_of_a_killed_restore_is_removed(disk: Disk, large: tuple[bytes, Callable[[], bool]]) -> None:
    backup, is_partly_written = large
    running = disk.start(f"home/{USER}")
    feed(running, backup[:2000000])
    wait_until(is_partly_written, "the file is partly written")
    assert disk.restore(backup, f"home/{USER}", "data/kept")[1].endswith(f"{NEW}-2\n"), "the first restore still runs"
    child = subprocess.run(["pgrep", "-P", str(running.pid)], capture_output=True, text=True, check=False).stdout
    as_root("kill", f"-{signal.SIGKILL}", *(child.split() or [str(running.pid)]))
    running.communicate()
    assert disk.restore(backup, f"home/{USER}", "data/kept")[1].endswith(f"{NEW}\n")
    assert not is_partly_written()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["home"], "found the folder 'home', wanted home/<uid> or project/<gid>"),
        (["home/../etc"], "found the folder 'home/../etc', wanted home/<uid> or project/<gid>"),
        ([f"home/{USER}", "/etc/passwd"], "found the path '/etc/passwd', wanted one relative to the folder"),
        ([f"home/{USER}", "../6000/kept"], "found the path '../6000/kept', wanted one relative to the folder"),
        ([f"home/{USER}", "data", "nowhere"], f"the backup does not contain home/{USER}/nowhere"),
        (["home/5001"], "/home/5001: No such file or directory"),
        (["home/5002"], "/home/5002: Not a directory"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_request_is_refused_with_the_reason(arguments: list[str], message: str, disk: Disk) -> None:
    as_root("ln", "-s", disk.victim, disk.root / "home/5002")
    backup, before = disk.back_up(), disk.list_files("home", times=False)
    status, output = disk.restore(backup, *arguments)
    assert (status, output.count("\n")) == (1, 1)
    assert output.startswith(f"restore: {message}")
    assert disk.list_files("home", times=False) == before


@pytest.mark.parametrize("data", [b"", b"\x28\xb5\x2f\xfd" * 500], ids=["empty", "zstd"])
def test_input_that_is_not_an_archive_is_refused(data: bytes, disk: Disk) -> None:
    status, output = disk.restore(data, f"home/{USER}")
    assert (status, output.startswith("restore: cannot read standard input: ")) == (1, True)
    assert "wanted an uncompressed tar archive" in output
    assert stat.S_ISDIR(os.lstat(disk.home).st_mode)
