"""Tests of membership re-checks. A lost membership ends the session and the lab, but an outage of GitHub does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from labtesting.github import Account
from labtesting.hub_process import wait_until

Change = Callable[[Any, Account], None]


def remove(world: Any, account: Account) -> None:
    del world.find_organization("lsst-sqre").members[account.id]


def suspend(_: Any, account: Account) -> None:
    account.suspended = True


def revoke(world: Any, account: Account) -> None:
    world.revoke_tokens(account)


@pytest.mark.parametrize(
    ("change", "reason"), [(remove, "not_a_member"), (suspend, "suspended"), (revoke, "token_revoked")]
)
def test_lost_membership_ends_session_token_and_lab(site: Any, change: Change, reason: str) -> None:
    name = f"leaver-{reason.replace('_', '-')}"
    visitor, account = site.member(name)
    visitor.spawn(name)
    token = site.api_token(name)
    assert site.token_works(token)
    change(site.world, account)
    # Send no requests here. The hub must re-check a user with a running lab without a request of the user.
    wait_until(lambda: not site.lab_runs(name), "the lab is stopped", 5)
    assert not visitor.is_logged_in()
    assert not visitor.reaches_lab(name)
    assert not site.token_works(token)
    assert visitor.get("/hub/spawn").url.path != "/hub/spawn"
    [event] = site.events("revocation", name)
    assert (event["event.reason"], event["hub.servers"], event["user.id"]) == (reason, [""], str(account.id))
    assert site.hub.user(name)["auth_state"] is None


def test_removed_member_cannot_spawn(site: Any) -> None:
    visitor, account = site.member("too-late")
    remove(site.world, account)
    page = visitor.get("/hub/spawn")
    assert page.status_code == 403 or page.url.path == "/hub/login", page.text
    assert not site.lab_runs("too-late")


def test_readmitted_member_keeps_the_same_user(site: Any) -> None:
    visitor, account = site.member("prodigal")
    before = site.hub.user("prodigal")["created"]
    remove(site.world, account)
    wait_until(lambda: not visitor.is_logged_in(), "the session has ended")
    assert visitor.log_in().status_code == 403
    site.world.find_organization("lsst-sqre").members[account.id] = "active"
    assert visitor.log_in().status_code == 200
    assert visitor.is_logged_in()
    assert site.hub.user("prodigal")["created"] == before


@pytest.fixture(scope="module")
def resident(site: Any) -> Any:
    """Return the logged-in session of a member of the allowed organization."""
    visitor, _ = site.member("resident")
    return visitor


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("down", "github_down"),
        ("malformed", "github_down"),
        ("half", "github_down"),
        ("limited", "rate_limited"),
        ("secondary", "rate_limited"),
    ],
)
def test_outage_of_github_keeps_session_and_spawns(site: Any, resident: Any, kind: Any, reason: str) -> None:
    token = site.api_token("resident")
    with site.trouble(kind):
        wait_until(
            lambda: resident.is_logged_in() and site.last_outcome("resident") == f"kept:{reason}", "the session stays"
        )
        resident.spawn("resident")
        assert resident.is_logged_in()
        assert site.token_works(token)
    wait_until(lambda: resident.is_logged_in() and site.last_outcome("resident") == "confirmed", "GitHub confirms")
    assert resident.reaches_lab("resident")
    site.stop_lab("resident")


@pytest.mark.parametrize("kind", ["hang", "hangup"])
def test_hanging_github_keeps_the_session(site: Any, resident: Any, kind: str) -> None:
    with site.trouble(kind):
        wait_until(
            lambda: resident.is_logged_in() and site.last_outcome("resident") == "kept:github_down", "the session stays"
        )
    assert resident.is_logged_in()


@pytest.mark.parametrize("wall", ["app_approved", "sso"])
def test_hidden_organization_revokes_no_membership(site: Any, wall: str) -> None:
    name = f"hidden-{wall.replace('_', '-')}"
    visitor, account = site.member(name)
    other = site.world.add_organization(f"society-{wall}", account)
    wait_until(lambda: visitor.is_logged_in() and len(groups(site, name)) == 2, "the hub knows the new group")
    setattr(other, wall, wall == "sso")
    checks = len(site.events("refresh", name))
    wait_until(
        lambda: visitor.is_logged_in() and len(site.events("refresh", name)) > checks + 1, "the hub re-checks the user"
    )
    assert len(groups(site, name)) == 2
    sqre = site.world.find_organization("lsst-sqre")
    setattr(sqre, wall, wall == "sso")
    wait_until(lambda: visitor.is_logged_in() and site.last_outcome(name) == "kept:hidden", "the last answer counts")
    setattr(sqre, wall, wall != "sso")
    del other.members[account.id]
    setattr(other, wall, wall != "sso")
    wait_until(lambda: visitor.is_logged_in() and len(groups(site, name)) == 1, "the hub removes the group")


def groups(site: Any, name: str) -> list[dict[str, Any]]:
    user_groups: list[dict[str, Any]] = site.hub.user(name)["auth_state"]["identity"]["groups"]
    return user_groups
