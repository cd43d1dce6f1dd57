"""Who is in stays in through GitHub's troubles, and who is out is out, with the lab."""

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
def test_a_definite_no_ends_session_api_token_and_idle_lab_within_one_refresh(
    site: Any, change: Change, reason: str
) -> None:
    name = f"leaver-{reason.replace('_', '-')}"
    visitor, account = site.member(name)
    visitor.spawn(name)
    token = site.api_token(name)
    assert site.token_works(token)
    change(site.world, account)
    # Nobody asks for a page: the hub looks by itself.
    wait_until(lambda: not site.lab_runs(name), "the lab is stopped", 5)
    assert not visitor.is_in()
    assert not visitor.reaches_lab(name)
    assert not site.token_works(token)
    assert visitor.get("/hub/spawn").url.path != "/hub/spawn"
    [event] = site.events("revocation", name)
    assert (event["event.reason"], event["hub.servers"], event["user.id"]) == (reason, [""], str(account.id))
    assert site.hub.user(name)["auth_state"] is None


def test_whoever_is_removed_just_before_a_spawn_is_refused_and_sees_no_error_500(site: Any) -> None:
    visitor, account = site.member("too-late")
    remove(site.world, account)
    page = visitor.get("/hub/spawn")
    assert page.status_code == 403 or page.url.path == "/hub/login", page.text
    assert not site.lab_runs("too-late")


def test_a_removed_member_who_comes_back_finds_the_same_user(site: Any) -> None:
    visitor, account = site.member("prodigal")
    before = site.hub.user("prodigal")["created"]
    remove(site.world, account)
    wait_until(lambda: not visitor.is_in(), "the session has ended")
    assert visitor.log_in().status_code == 403
    site.world.find_organization("lsst-sqre").members[account.id] = "active"
    assert visitor.log_in().status_code == 200
    assert visitor.is_in()
    assert site.hub.user("prodigal")["created"] == before


@pytest.fixture(scope="module")
def resident(site: Any) -> Any:
    """Give somebody who is in."""
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
def test_a_member_goes_on_and_starts_a_lab_while_github_is_in_trouble(
    site: Any, resident: Any, kind: Any, reason: str
) -> None:
    token = site.api_token("resident")
    with site.trouble(kind):
        wait_until(lambda: resident.is_in() and last_outcome(site) == f"kept:{reason}", "the last answer counts")
        resident.spawn("resident")
        assert resident.is_in()
        assert site.token_works(token)
    wait_until(lambda: resident.is_in() and last_outcome(site) == "confirmed", "GitHub is asked again")
    assert resident.reaches_lab("resident")
    site.stop_lab("resident")


@pytest.mark.parametrize("kind", ["hang", "hangup"])
def test_a_member_goes_on_while_github_hangs(site: Any, resident: Any, kind: str) -> None:
    with site.trouble(kind):
        wait_until(lambda: resident.is_in() and last_outcome(site) == "kept:github_down", "the last answer counts")
    assert resident.is_in()


def last_outcome(site: Any, user: str = "resident") -> str:
    outcomes = [event["hub.outcome"] for event in site.events("refresh", user)]
    return str(outcomes[-1]) if outcomes else ""


@pytest.mark.parametrize("wall", ["app_approved", "sso"])
def test_an_organization_that_hides_its_members_has_removed_nobody(site: Any, wall: str) -> None:
    name = f"hidden-{wall.replace('_', '-')}"
    visitor, account = site.member(name)
    other = site.world.add_organization(f"society-{wall}", account)
    wait_until(lambda: visitor.is_in() and len(groups(site, name)) == 2, "the new group is seen")
    setattr(other, wall, wall == "sso")
    seen = len(site.events("refresh", name))
    wait_until(lambda: visitor.is_in() and len(site.events("refresh", name)) > seen + 1, "it was asked again")
    assert len(groups(site, name)) == 2
    sqre = site.world.find_organization("lsst-sqre")
    setattr(sqre, wall, wall == "sso")
    wait_until(lambda: visitor.is_in() and last_outcome(site, name) == "kept:hidden", "the last answer counts")
    setattr(sqre, wall, wall != "sso")
    del other.members[account.id]
    setattr(other, wall, wall != "sso")
    wait_until(lambda: visitor.is_in() and len(groups(site, name)) == 1, "who has left has left")


def groups(site: Any, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = site.hub.user(name)["auth_state"]["identity"]["groups"]
    return found


def test_a_logout_takes_the_token_back_and_leaves_the_lab(site: Any) -> None:
    visitor, account = site.member("tidy")
    visitor.spawn("tidy")
    assert tokens_of(site, account) == 1
    visitor.log_out()
    assert tokens_of(site, account) == 0
    assert not visitor.is_in()
    assert site.events("logout", "tidy")[0]["hub.token_revoked"] is True
    wait_until(lambda: last_outcome(site, "tidy") == "kept:signed_out", "the lab was looked after")
    assert site.lab_runs("tidy")
    assert visitor.log_in().status_code == 200
    assert visitor.reaches_lab("tidy")
    site.stop_lab("tidy")


def test_a_logout_while_github_hangs_is_a_logout(site: Any) -> None:
    visitor, _ = site.member("hasty")
    with site.trouble("hang"):
        assert visitor.get("/hub/logout").status_code == 200
    assert not visitor.is_in()
    assert site.events("logout", "hasty")[0]["hub.token_revoked"] is False
    assert visitor.log_in().status_code == 200
    wait_until(lambda: visitor.is_in() and last_outcome(site, "hasty") == "confirmed", "the new token is used")


def test_after_a_logout_no_other_session_and_no_token_outlives_a_removal(site: Any) -> None:
    visitor, account = site.member("evader")
    other = site.visitor("evader")
    assert other.log_in().status_code == 200
    token = site.api_token("evader")
    visitor.log_out()
    remove(site.world, account)
    wait_until(lambda: not other.is_in(), "the other session has ended")
    assert not site.token_works(token)


def test_a_second_login_takes_the_first_ones_token_back_and_ends_nothing(site: Any) -> None:
    visitor, account = site.member("two-screens")
    other = site.visitor("two-screens")
    assert other.log_in().status_code == 200
    assert tokens_of(site, account) == 1
    wait_until(lambda: visitor.is_in() and last_outcome(site, "two-screens") == "confirmed", "the new token is used")
    assert other.is_in()
    assert site.events("revocation", "two-screens") == []


def tokens_of(site: Any, account: Account) -> int:
    return sum(token.account_id == account.id for token in site.world.tokens.values())


def test_a_renamed_user_keeps_the_old_name_as_long_as_the_lab_runs(site: Any) -> None:
    visitor, account = site.member("before-wedding")
    visitor.spawn("before-wedding")
    site.world.rename(account, "after-wedding")
    session = site.visitor("after-wedding")
    assert session.log_in().status_code == 200
    assert session.reaches_lab("before-wedding")
    assert site.hub.user("after-wedding") is None
    site.stop_lab("before-wedding")
    assert session.log_in().status_code == 200
    session.spawn("after-wedding")
    assert site.hub.user("after-wedding")["auth_state"]["identity"]["uid"] == account.id
    site.stop_lab("after-wedding")
