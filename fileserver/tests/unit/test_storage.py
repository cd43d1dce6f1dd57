"""Tests of the checks of the storage at the start of labfiles.

A failed check raises an error with a one-line message.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from labfiles.ganesha_launcher import print_warning
from labfiles.storage import StorageError, check_exportable, find_type, prepare_storage


def test_missing_folders_are_created_once(tmp_path: Path) -> None:
    prepare_storage(tmp_path)
    (tmp_path / "home/5000").mkdir()
    storage = prepare_storage(tmp_path)
    assert {path.name: oct(path.stat().st_mode & 0o7777) for path in tmp_path.iterdir()} == {
        "home": "0o755",
        "project": "0o755",
        "recovery": "0o700",
        "labfiles": "0o700",
    }
    assert (storage.home / "5000").is_dir()


@pytest.mark.parametrize(("is_file", "message"), [(False, "found nothing"), (True, "found a file")])
def test_missing_storage_folder_is_an_error(is_file: bool, message: str, tmp_path: Path) -> None:
    if is_file:
        (tmp_path / "storage").touch()
    with pytest.raises(StorageError, match=f"{message}, wanted the folder of the volume"):
        prepare_storage(tmp_path / "storage")


def test_a_root_that_others_could_write_is_closed(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o1777)
    assert oct(prepare_storage(tmp_path).home.stat().st_mode & 0o7777) == "0o755"


def test_a_root_that_is_a_symlink_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").symlink_to("/")
    with pytest.raises(StorageError, match="/home: found something other than a folder, wanted"):
        prepare_storage(tmp_path)


MOUNTS = (
    "/dev/vda / ext4 rw 0 0\n/dev/vdb /mnt/my\\040disk xfs rw 0 0\ntmpfs /run tmpfs rw 0 0\n/dev/vdc /run ext4 rw 0 0\n"
)


@pytest.mark.parametrize(
    ("path", "kind"), [("/storage", "ext4"), ("/mnt/my disk/a", "xfs"), ("/mnt", "ext4"), ("/run/x", "ext4")]
)
def test_file_system_type_is_that_of_the_deepest_mount(path: str, kind: str) -> None:
    assert find_type(Path(path), MOUNTS) == kind


@pytest.mark.parametrize("kind", ["tmpfs", "nfs4"])
def test_a_file_system_that_ganesha_ignores_is_refused(kind: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as raised:
        check_exportable(tmp_path, f"/dev/vda / ext4 rw 0 0\nnone {tmp_path} {kind} rw 0 0\n")
    assert (
        str(raised.value)
        == f"{tmp_path}: found a file system of type {kind}, wanted one that can be exported (ext4, xfs or btrfs)"
    )


def test_a_disk_with_xfs_gets_a_warning_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Check the warning. On xfs, Ganesha's file handles contain the device number (nfs-ganesha, issue 1035)."""
    print_warning("/dev/vda / ext4 rw 0 0\n/dev/vdb /storage xfs rw 0 0\n")
    assert capsys.readouterr().err == (
        "fileserver: /storage: found a file system of type xfs, ext4 is recommended: "
        "if the device number of this disk changes, running labs get stale file handles\n"
    )


@pytest.mark.parametrize("kind", ["ext4", "btrfs"])
def test_a_disk_with_handles_from_its_uuid_gets_no_warning(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_warning(f"/dev/vda / xfs rw 0 0\n/dev/vdb /storage {kind} rw 0 0\n")
    assert capsys.readouterr().err == ""


def test_a_file_system_without_handles_is_refused() -> None:
    with pytest.raises(StorageError, match=r"type proc on which name_to_handle_at fails \(.*\), wanted one that can"):
        check_exportable(Path("/proc"), "proc /proc proc rw 0 0\n/dev/vda / ext4 rw 0 0\n")
