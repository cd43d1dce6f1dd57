"""Tests of logins: accounts that may log in, their POSIX identities, and the reasons for refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from labhub.login.authenticator import LOGINS_MAX
from labtesting.github import Trouble
from labtesting.hub_process import wait_until

API = "/api/v3"


def test_member_logs_in_with_the_right_identity(site: Any) -> None:
    _, account = site.member("Ada-Amber")
    user = site.hub.user("ada-amber")
    state = user["auth_state"]
    sqre = site.world.find_organization("lsst-sqre")
    assert user["admin"] is False
    assert user["user_info"] == {"github_id": account.id}
    assert state["identity"] == {
        "github_id": account.id,
        "login": "Ada-Amber",
        "name": "ada-amber",
        "uid": account.id,
        "groups": [{"name": "lsst-sqre", "gid": sqre.id, "organization": {"id": sqre.id, "login": "lsst-sqre"}}],
        "dropped": [],
    }
    assert state["scopes"] == ["read:org", "user:email"]
    assert state["email"] == "Ada-Amber@example.org"
    [event] = site.events("login", "ada-amber")
    assert (event["user.id"], event["hub.admin"]) == (str(account.id), False)


def test_member_of_an_allowed_team_logs_in(site: Any) -> None:
    account = site.world.add_account("pilot")
    rubin = site.world.find_organization("Rubin")
    rubin.members[account.id] = "active"
    rubin.teams["pilots"].add(account.id)
    assert site.visitor("pilot").log_in().status_code == 200
    assert site.hub.user("pilot")["auth_state"]["identity"]["groups"][0]["gid"] == rubin.id


@pytest.mark.parametrize(
    ("login", "organization", "state", "reason"),
    [
        ("outsider", None, None, "not_a_member"),
        ("invited", "lsst-sqre", "pending", "pending"),
        ("teamless", "rubin", "active", "not_a_member"),
    ],
)
def test_non_member_is_refused(site: Any, login: str, organization: str | None, state: str | None, reason: str) -> None:
    account = site.world.add_account(login)
    if organization:
        site.world.find_organization(organization).members[account.id] = state
    visitor = site.visitor(login)
    page = visitor.log_in()
    assert page.status_code == 403
    assert "lsst-sqre" in page.text
    assert "Try again" in page.text
    assert not visitor.is_logged_in()
    assert site.hub.user(login) is None
    [event] = site.events("refusal", login)
    assert (event["event.reason"], event["user.id"]) == (reason, str(account.id))


def test_refusal_page_names_contact_and_app_approval(site: Any) -> None:
    site.world.add_account("stranger")
    text = site.visitor("stranger").log_in().text
    assert "rubin:pilots" in text
    assert "help@lsst.example" in text
    assert "may not have approved this app" in text
    assert f"{site.github.url}/settings/connections/applications/labhub-test" in text


@pytest.mark.parametrize("wall", ["app_approved", "sso"])
def test_member_of_a_hidden_organization_sees_the_reason(site: Any, wall: str) -> None:
    account = site.world.add_account(f"behind-{wall.replace('_', '-')}")
    sqre = site.world.find_organization("lsst-sqre")
    sqre.members[account.id] = "active"
    setattr(sqre, wall, wall == "sso")
    page = site.visitor(account.login).log_in()
    setattr(sqre, wall, wall != "sso")
    assert page.status_code == 403
    assert "may have to approve the app" in page.text
    assert site.visitor(account.login).log_in().status_code == 200


def test_over_a_hundred_organizations_are_read(site: Any) -> None:
    account = site.world.add_account("joiner")
    for number in range(130):
        site.world.add_organization(f"club-{number:03}", account)
    site.world.find_organization("lsst-sqre").members[account.id] = "active"
    site.world.add_organization("zz-last", account)
    assert site.visitor("joiner").log_in().status_code == 200
    identity = site.hub.user("joiner")["auth_state"]["identity"]
    assert len(identity["groups"]) == 16
    assert identity["groups"][0]["name"] == "lsst-sqre"
    assert identity["groups"][1]["name"] == "club-000"
    assert len(identity["dropped"]) == 116
    assert identity["dropped"][-1]["login"] == "zz-last"
    assert len(site.events("login", "joiner")[0]["hub.dropped"]) == 116


def test_a_rename_keeps_the_user_and_the_identity(site: Any) -> None:
    visitor, account = site.member("old-name")
    before = site.hub.user("old-name")
    site.world.rename(account, "new-name")
    wait_until(
        lambda: visitor.is_logged_in() and login_of(site, "old-name") == "new-name", "the hub knows the new login"
    )
    site.visitor("new-name").log_in()
    after = site.hub.user("new-name")
    assert site.hub.user("old-name") is None
    assert (after["user_info"], after["created"]) == (before["user_info"], before["created"])
    assert after["auth_state"]["identity"]["uid"] == account.id
    assert visitor.is_logged_in()
    assert site.events("login", "new-name")[0]["hub.renamed_from"] == "old-name"


def login_of(site: Any, name: str) -> str:
    return str(site.hub.user(name)["auth_state"]["identity"]["login"])


def test_reused_login_of_another_account_is_refused(site: Any) -> None:
    visitor, account = site.member("desired")
    assert visitor.is_logged_in()
    site.world.rename(account, "has-moved-on")
    before = site.hub.user("desired")
    thief = site.world.add_account("desired")
    site.world.find_organization("lsst-sqre").members[thief.id] = "active"
    session = site.visitor("desired")
    page = session.log_in()
    assert page.status_code == 403
    assert "belongs to another account" in page.text
    assert not session.is_logged_in()
    after = site.hub.user("desired")
    unchanged = ("name", "user_info", "created", "admin")
    assert [after[key] for key in unchanged] == [before[key] for key in unchanged]
    assert after["auth_state"]["access_token"] == before["auth_state"]["access_token"]
    assert site.events("refusal", "desired")[0]["user.id"] == str(thief.id)


def test_login_is_free_after_its_renamed_owner_logs_in(site: Any) -> None:
    _, first = site.member("handed-on")
    site.world.rename(first, "first-owner")
    assert site.visitor("first-owner").log_in().status_code == 200
    second = site.world.add_account("handed-on")
    site.world.find_organization("lsst-sqre").members[second.id] = "active"
    assert site.visitor("handed-on").log_in().status_code == 200
    assert site.hub.user("handed-on")["auth_state"]["identity"]["uid"] == second.id
    assert site.hub.user("first-owner")["auth_state"]["identity"]["uid"] == first.id


def test_team_membership_grants_and_removes_admin_rights(site: Any) -> None:
    visitor, account = site.member("chief")
    rubin = site.world.find_organization("rubin")
    rubin.members[account.id] = "active"
    rubin.teams["admins"].add(account.id)
    wait_until(lambda: visitor.is_logged_in() and site.hub.user("chief")["admin"], "admin rights are granted")
    rubin.teams["admins"].discard(account.id)
    wait_until(lambda: visitor.is_logged_in() and not site.hub.user("chief")["admin"], "admin rights are removed")


def test_a_suspended_account_is_refused(site: Any) -> None:
    account = site.world.add_account("suspect")
    account.suspended = True
    page = site.visitor("suspect").log_in()
    assert page.status_code == 403
    assert "suspended" in page.text


def test_blocked_user_sees_the_reason(site: Any) -> None:
    account = site.world.add_account("rascal")
    site.world.find_organization("lsst-sqre").members[account.id] = "active"
    page = site.visitor("rascal").log_in()
    assert page.status_code == 403
    assert "Your account is blocked" in page.text


def test_login_without_the_scope_read_org_is_refused(site: Any) -> None:
    site.world.add_account("tightlipped")
    site.world.granted = frozenset({"user:email"})
    page = site.visitor("tightlipped").log_in()
    site.world.granted = None
    assert page.status_code == 403
    assert "read:org" in page.text


def test_cancelled_login_shows_the_reason(site: Any) -> None:
    site.world.add_account("hesitant")
    page = site.visitor("hesitant").log_in(agree=False)
    assert page.status_code == 403
    assert "You cancelled the login" in page.text


@pytest.mark.parametrize("query", ["code=0123&state=abcd", "state=abcd", "code=0123", "error=server_error", ""])
def test_unrequested_callback_is_refused(site: Any, query: str) -> None:
    page = site.visitor("unknown").get(f"/hub/oauth_callback?{query}")
    assert page.status_code == 400
    assert "This login has expired or is invalid" in page.text


def test_oauth_code_is_valid_for_one_login(site: Any) -> None:
    account = site.world.add_account("reloader")
    site.world.find_organization("lsst-sqre").members[account.id] = "active"
    visitor = site.visitor("reloader")
    page = visitor.start_login()
    back = visitor.http.post(page.url, data={"login": "reloader"}, follow_redirects=False).headers["location"]
    site.world.codes.clear()
    refused = visitor.get(back)
    assert refused.status_code == 403
    assert "did not accept this login" in refused.text


@pytest.mark.parametrize(
    ("trouble", "reason", "shown"),
    [
        (Trouble("down"), "github_down", "GitHub does not answer"),
        (Trouble("down", f"{API}/user/orgs"), "github_down", "GitHub does not answer"),
        (Trouble("down", "/login/oauth/access_token"), "github_down", "GitHub does not answer"),
        (Trouble("malformed"), "github_down", "GitHub does not answer"),
        (Trouble("malformed", "/login/oauth/access_token"), "github_down", "GitHub does not answer"),
        (Trouble("half"), "github_down", "GitHub does not answer"),
        (Trouble("half", "/login/oauth/access_token"), "github_down", "GitHub does not answer"),
        (Trouble("hangup"), "github_down", "GitHub does not answer"),
        (Trouble("hangup", "/login/oauth/access_token"), "github_down", "GitHub does not answer"),
        (Trouble("hang"), "github_down", "GitHub does not answer"),
        (Trouble("hang", "/login/oauth/access_token"), "github_down", "GitHub does not answer"),
        (Trouble("limited"), "rate_limited", "request limit is reached"),
        (Trouble("secondary", f"{API}/user/memberships"), "rate_limited", "request limit is reached"),
        (Trouble("secondary", "/login/oauth/access_token"), "rate_limited", "request limit is reached"),
    ],
    ids=lambda value: f"{value.kind}-{value.path.rsplit('/', 1)[1]}" if isinstance(value, Trouble) else "",
)
def test_login_during_an_outage_shows_the_reason(site: Any, trouble: Trouble, reason: str, shown: str) -> None:
    name = f"unlucky-{len(site.world.accounts)}"
    site.world.add_account(name)
    visitor = site.visitor(name)
    page = visitor.start_login()
    with site.trouble(trouble.kind, trouble.path):
        refused = visitor.http.post(page.url, data={"login": name})
    assert refused.status_code == 424
    assert refused.headers["Retry-After"]
    assert shown in refused.text
    assert site.hub.user(name) is None
    refusals = [event for event in site.hub.events if event["event.action"] == "refusal"]
    assert refusals[-1]["event.reason"] == reason


def test_many_simultaneous_logins_do_not_time_out(start_site: Any, tmp_path: Path) -> None:
    """Check that simultaneous logins do not time out in the queue of tornado's HTTP client.

    By default this client sends only ten requests at a time.
    """
    with start_site(tmp_path, GITHUB_TIMEOUT_SECONDS="30") as site:
        visitors = [site.visitor(f"early-{number}") for number in range(40)]
        for visitor in visitors:
            site.world.find_organization("lsst-sqre").members[site.world.add_account(visitor.login).id] = "active"
        site.world.pause = 2
        with ThreadPoolExecutor(len(visitors)) as pool:
            answers = list(pool.map(lambda visitor: visitor.log_in().status_code, visitors))
        assert set(answers) == {200}
        assert 10 < site.github.exchanging.maximum <= LOGINS_MAX


def test_jupyterhubs_login_form_is_disabled(site: Any) -> None:
    visitor = site.visitor("former")
    visitor.get("/hub/login")
    data = {"username": "keeper", "password": "x", "code": "x"}
    answer = visitor.http.post("/hub/login", data=data | visitor.xsrf_field())
    assert answer.status_code == 405
    assert not visitor.is_logged_in()


def test_refused_login_shows_no_code_state_or_token(site: Any) -> None:
    site.world.add_account("grepped")
    visitor = site.visitor("grepped")
    assert visitor.log_in().status_code == 403
    visitor.start_login()
    for state in ("abcdefghij", site.visitor("another").start_login().url.params["state"]):
        assert visitor.get(f"/hub/oauth_callback?code=0123456789&state={state}").status_code == 400
        visitor.start_login()
    assert "OAuth state mismatch" in site.hub.log
    assert "0123456789" not in site.hub.log
    assert "abcdefghij" not in site.hub.log
    assert len(site.world.issued) > 1
    assert site.leaks() == []
