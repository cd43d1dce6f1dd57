"""Tests of labs whose homes and project folders are on NFS: owners, modes, locks, and a full disk."""

from __future__ import annotations

from pathlib import Path

from tests.nfs.deployment import Lab, on_disk
from tests.nfs.lab_program import run_in_lab
from tests.nfs.locks import FREE, HELD, HOLDER, PROJECT, probe, probe_elsewhere
from tests.system.deployment import ORGANIZATION

# A program that fills the disk. It writes pieces of 1 MiB, and syncs each piece.
FILL = """
with open("big", "wb", buffering=0) as big:
    while True:
        big.write(bytes(2**20))
        os.fsync(big)
"""


def test_home_and_project_are_mounted_with_nfs_4_2(lab: Lab) -> None:
    mounts = [line.split() for line in lab.run("cat", "/proc/mounts").splitlines()]
    options = {target: f"{kind},{options}".split(",") for _, target, kind, options, *_ in mounts}
    for folder in (lab.home, PROJECT):
        assert {"nfs4", "vers=4.2", "hard", "nosuid", "nodev"} <= {*options[folder]}


def test_only_the_user_reads_the_home(lab: Lab) -> None:
    uid = lab.account.id
    assert lab.run("stat", "--format=%u %g %a", lab.home) == f"{uid} {uid} 700\n"
    assert on_disk("stat", "--format=%u %g %a", f"/storage/home/{uid}") == f"{uid} {uid} 700\n"


def test_written_files_are_on_the_disk(lab: Lab, other_lab: Lab) -> None:
    organization = lab.site.github.world.find_organization(ORGANIZATION)
    assert organization is not None
    lab.run(
        "sh", "-c", f"echo mine >{lab.home}/mine && echo ours >{PROJECT}/ours && sync {lab.home}/mine {PROJECT}/ours"
    )
    assert on_disk("cat", f"/storage/home/{lab.account.id}/mine") == "mine\n"
    assert on_disk("cat", f"/storage/project/{organization.id}/ours") == "ours\n"
    assert other_lab.run("cat", f"{PROJECT}/ours") == "ours\n"


def test_locks_are_exclusive_between_two_labs(lab: Lab, other_lab: Lab, tmp_path: Path) -> None:
    with run_in_lab(lab.pod, HOLDER, PROJECT, log=tmp_path / "log") as holder:
        holder.wait_for(lambda line: line["locked"], "the locks are held")
        assert probe(other_lab) == HELD
        assert probe_elsewhere(lab, tmp_path / "client") == HELD
        holder.finish()
        assert probe(other_lab) == FREE
        assert probe_elsewhere(lab, tmp_path / "client") == FREE


def test_a_full_disk_fails_only_writes(lab: Lab, other_lab: Lab) -> None:
    with lab.site.client(lab.visitor).kernel("python3") as kernel:
        assert not kernel.execute(f"import os; os.chdir({lab.home!r}); open('before', 'w').write('all data')").error
        assert kernel.execute(FILL).error == "OSError: [Errno 28] No space left on device"
        assert kernel.execute("print(open('before').read())").stdout == "all data\n"
        assert other_lab.answers()
        assert not kernel.execute("os.remove('big')").error
        assert not kernel.execute("with open('after', 'w') as file: file.write('more'); os.fsync(file)").error
    assert on_disk("cat", f"/storage/home/{lab.account.id}/after") == "more"
