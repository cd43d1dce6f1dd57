"""Checks of permissions: access to the files of other users, by users and by root on a node."""

from __future__ import annotations

import errno
import os
import stat

from fileserver.tests.image.client.registry import ADA, BOB, GROUPS, ONE_MORE, ROOT, Share, check, expect_error


@check(uid=BOB)
def another_user_cannot_enter_a_home(share: Share) -> None:
    home = share.mount / f"home/{ADA}"
    for attempt in (os.listdir, os.rmdir, lambda path: (path / "x").touch(), lambda path: path.chmod(0o777)):
        with expect_error(errno.EACCES, errno.EPERM):
            attempt(home)
    with expect_error(errno.EACCES, errno.EPERM):
        home.rename(share.mount / "home/taken")


@check(uid=ROOT, groups=())
def root_on_a_node_has_no_rights(share: Share) -> None:
    home = share.mount / f"home/{ADA}"
    for attempt in (os.listdir, lambda path: (path / "x").touch(), lambda path: os.chown(path, 0, 0)):
        with expect_error(errno.EACCES, errno.EPERM):
            attempt(home)
    for root in ("home", "project"):
        with expect_error(errno.EACCES):
            (share.mount / root / "by-root").touch()


@check()
def users_create_nothing_beside_the_homes(share: Share) -> None:
    for root in ("home", "project"):
        with expect_error(errno.EACCES):
            (share.mount / root / "5001").mkdir()


@check()
def users_cannot_give_files_away(share: Share) -> None:
    (share.home / "mine-alone").touch()
    with expect_error(errno.EPERM):
        os.chown(share.home / "mine-alone", BOB, -1)
    with expect_error(errno.EPERM):
        os.chown(share.home / "mine-alone", -1, ONE_MORE)
    os.chown(share.home / "mine-alone", -1, GROUPS[0])


@check(uid=BOB)
def each_of_sixteen_groups_counts(share: Share) -> None:
    for gid in GROUPS:
        (share.mount / f"project/{gid}/bobs").write_text("x")


@check(uid=BOB, groups=(*GROUPS, ONE_MORE))
def a_seventeenth_group_is_not_carried(share: Share) -> None:
    with expect_error(errno.EACCES):
        os.listdir(share.mount / f"project/{ONE_MORE}")


@check(uid=BOB, groups=())
def a_user_without_groups_sees_no_project(share: Share) -> None:
    with expect_error(errno.EACCES):
        os.listdir(share.project)


@check()
def new_files_of_a_project_have_its_group(share: Share) -> None:
    os.umask(0o002)
    folder = share.project / "shared"
    folder.mkdir()
    (folder / "paper").write_text("ada")
    assert folder.stat().st_gid == (folder / "paper").stat().st_gid == GROUPS[0]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2775


@check(uid=BOB)
def a_member_writes_files_of_another_member(share: Share) -> None:
    (share.project / "shared/paper").write_text("bob")
    (share.project / "shared/another").touch()


@check()
def a_project_folder_cannot_be_moved_or_opened(share: Share) -> None:
    for attempt in (
        lambda path: path.rename(path.with_name("taken")),
        lambda path: path.chmod(0o777),
        lambda path: os.chown(path, ADA, -1),
    ):
        with expect_error(errno.EPERM, errno.EACCES):
            attempt(share.project)
