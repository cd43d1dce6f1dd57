"""Tests of `HomeProvisioner`, the hub's client of the fileserver, with the fileserver's real program `labfiles`."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from labhub.labs.home_provisioning import PAUSE_MIN, HomeProvisioner, ProvisioningError
from labhub.models.identity import Group, Identity, Organization
from labtesting.fileserver import TOKEN, Labfiles, as_root, run_labfiles

pytestmark = pytest.mark.asyncio
GROUPS = tuple(Group(f"org{gid}", gid, Organization(gid, f"org{gid}")) for gid in range(5000, 5016))
ADA = Identity(github_id=583231, login="ada", name="ada", uid=583231, groups=GROUPS)


@pytest.fixture
def labfiles(tmp_path: Path) -> Iterator[Labfiles]:
    with run_labfiles(tmp_path) as running:
        yield running


@pytest.fixture
def folders(labfiles: Labfiles) -> HomeProvisioner:
    return HomeProvisioner(labfiles.url, TOKEN)


async def test_home_and_project_folders_are_created(labfiles: Labfiles, folders: HomeProvisioner) -> None:
    await folders.create_folders(ADA)
    await folders.create_folders(ADA)
    home = (labfiles.storage / "home/583231").lstat()
    assert (home.st_uid, home.st_gid, oct(home.st_mode)) == (583231, 583231, "0o40700")
    for group in GROUPS:
        found = (labfiles.storage / f"project/{group.gid}").lstat()
        assert (found.st_uid, found.st_gid, oct(found.st_mode)) == (0, group.gid, "0o42770")


async def test_many_users_at_once_get_their_folders(labfiles: Labfiles, folders: HomeProvisioner) -> None:
    identities = [Identity(uid, f"u{uid}", f"u{uid}", uid, GROUPS) for uid in range(10_000, 10_030)]
    await asyncio.gather(*map(folders.create_folders, identities))
    assert len(os.listdir(labfiles.storage / "home")) == 30
    assert len(os.listdir(labfiles.storage / "project")) == 16


async def test_home_of_another_user_is_refused(labfiles: Labfiles, folders: HomeProvisioner) -> None:
    home = labfiles.storage / "home/583231"
    as_root("mkdir", home)
    as_root("chown", "77777", home)
    with pytest.raises(ProvisioningError) as failed:
        await folders.create_folders(ADA)
    reason = "409: /home/583231: found owner 77777, wanted 583231"
    assert str(failed.value) == f"Your home cannot be used ({reason}). Report this to an administrator."


async def test_symlink_as_project_folder_is_refused(labfiles: Labfiles, folders: HomeProvisioner) -> None:
    as_root("ln", "-s", "/etc", labfiles.storage / "project/5003")
    with pytest.raises(
        ProvisioningError, match=r"The project folder of your group 5003 cannot be used \(409: .* a symbolic link"
    ):
        await folders.create_folders(ADA)


async def test_wrong_token_is_refused_without_a_retry(labfiles: Labfiles) -> None:
    delays: list[str] = []
    with pytest.raises(ProvisioningError, match="401: wrong token"):
        await asyncio.wait_for(HomeProvisioner(labfiles.url, "another").create_folders(ADA, delays.append), 10)
    assert delays == []


async def test_hub_waits_for_a_paused_fileserver(labfiles: Labfiles, folders: HomeProvisioner) -> None:
    labfiles.signal(signal.SIGSTOP)
    task = asyncio.create_task(folders.create_folders(ADA))
    await asyncio.sleep(0.1)  # wait until the client has sent the request
    assert not task.done()
    labfiles.signal(signal.SIGCONT)
    await task


async def test_hub_waits_for_a_replaced_fileserver(
    labfiles: Labfiles, folders: HomeProvisioner, tmp_path: Path
) -> None:
    labfiles.stop()
    delays: list[str] = []
    task = asyncio.create_task(folders.create_folders(ADA, delays.append))
    while len(delays) < 5:
        await asyncio.sleep(PAUSE_MIN)
        assert not task.done()
    assert all("Cannot connect" in reason for reason in delays)
    elsewhere = tmp_path / "another"
    elsewhere.mkdir()
    with run_labfiles(elsewhere, labfiles.storage, LABFILES_PORT=labfiles.url.rpartition(":")[2]):
        await task
    assert len(os.listdir(labfiles.storage / "project")) == 16


async def test_missing_fileserver_is_an_error(labfiles: Labfiles) -> None:
    labfiles.stop()
    with pytest.raises(
        ProvisioningError, match=r"^The shared storage does not answer \(.*\)\. Try again in a minute\.$"
    ):
        await HomeProvisioner(labfiles.url, TOKEN, retry_seconds=1).create_folders(ADA)
