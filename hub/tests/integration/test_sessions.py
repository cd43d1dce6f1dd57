"""Tests of the effects of a logout, a second login and a rename on the user's sessions, tokens and labs."""

from __future__ import annotations

from typing import Any

from labtesting.github import Account
from labtesting.hub_process import wait_until


def test_logout_revokes_the_token_and_keeps_the_lab(site: Any) -> None:
    visitor, account = site.member("tidy")
    visitor.spawn("tidy")
    assert tokens_of(site, account) == 1
    visitor.log_out()
    assert tokens_of(site, account) == 0
    assert not visitor.is_logged_in()
    assert site.events("logout", "tidy")[0]["hub.token_revoked"] is True
    wait_until(lambda: site.last_outcome("tidy") == "kept:signed_out", "the hub has re-checked the user")
    assert site.lab_runs("tidy")
    assert visitor.log_in().status_code == 200
    assert visitor.reaches_lab("tidy")
    site.stop_lab("tidy")


def test_logout_works_while_github_hangs(site: Any) -> None:
    visitor, _ = site.member("hasty")
    with site.trouble("hang"):
        assert visitor.get("/hub/logout").status_code == 200
    assert not visitor.is_logged_in()
    assert site.events("logout", "hasty")[0]["hub.token_revoked"] is False
    assert visitor.log_in().status_code == 200
    wait_until(lambda: visitor.is_logged_in() and site.last_outcome("hasty") == "confirmed", "the new token is used")


def test_removal_after_a_logout_ends_all_sessions_and_tokens(site: Any) -> None:
    visitor, account = site.member("evader")
    other = site.visitor("evader")
    assert other.log_in().status_code == 200
    token = site.api_token("evader")
    visitor.log_out()
    del site.world.find_organization("lsst-sqre").members[account.id]
    wait_until(lambda: not other.is_logged_in(), "the other session has ended")
    assert not site.token_works(token)


def test_second_login_replaces_only_the_token(site: Any) -> None:
    visitor, account = site.member("two-screens")
    other = site.visitor("two-screens")
    assert other.log_in().status_code == 200
    assert tokens_of(site, account) == 1
    wait_until(
        lambda: visitor.is_logged_in() and site.last_outcome("two-screens") == "confirmed", "the new token is used"
    )
    assert other.is_logged_in()
    assert site.events("revocation", "two-screens") == []


def tokens_of(site: Any, account: Account) -> int:
    return sum(token.account_id == account.id for token in site.world.tokens.values())


def test_renamed_user_keeps_the_old_name_until_the_lab_stops(site: Any) -> None:
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
