"""Tests that the simulated GitHub answers, refuses and fails like the real GitHub."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from labtesting.github import Account, FakeGitHub, Trouble, run_fake_github
from labtesting.github.sample import CLUBS, populate

CALLBACK = "http://127.0.0.1:9/hub/oauth_callback"
VERIFIER = "a-verifier"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
LOGIN_QUERY = {
    "client_id": "labhub-test",
    "redirect_uri": CALLBACK,
    "scope": "read:org user:email",
    "state": "a-state",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with run_fake_github(CALLBACK) as server:
        yield server


@pytest.fixture
def ada(github: FakeGitHub) -> Account:
    return github.world.add_account("Ada", email="ada@example.org")


def authorize(github: FakeGitHub, login: str = "ada", **changes: str) -> dict[str, str]:
    """Log in as a user at the simulated GitHub, and return the parameters of the redirect to the callback URL."""
    answer = httpx.post(f"{github.url}/login/oauth/authorize", params=LOGIN_QUERY | changes, data={"login": login})
    assert answer.status_code == 302, answer.text
    assert answer.headers["location"].startswith(CALLBACK)
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def exchange(github: FakeGitHub, original_code: str, **changes: str) -> dict[str, str]:
    """Exchange a code for a token, and return the answer. `changes` replaces fields of the request's form."""
    form = {
        "client_id": "labhub-test",
        "client_secret": "made-up-client-secret",
        "code": original_code,
        "redirect_uri": CALLBACK,
        "code_verifier": VERIFIER,
    }
    answer = httpx.post(f"{github.url}/login/oauth/access_token", data=form | changes)
    assert answer.status_code == 200
    fields: dict[str, str] = answer.json()
    return fields


def call(github: FakeGitHub, token: str, path: str, method: str = "GET", **options: Any) -> httpx.Response:
    """Send a request with this token to the REST API of the simulated GitHub."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.request(method, f"{github.url}/api/v3{path}", headers=headers, **options)


def test_login_returns_state_and_comma_separated_scopes(github: FakeGitHub, ada: Account) -> None:
    answer = authorize(github)
    assert answer["state"] == "a-state"
    token = exchange(github, answer["code"])
    assert (token["scope"], token["token_type"]) == ("read:org,user:email", "bearer")
    assert call(github, token["access_token"], "/user").json()["id"] == ada.id


@pytest.mark.usefixtures("ada")
def test_code_can_be_exchanged_once(github: FakeGitHub) -> None:
    code = authorize(github)["code"]
    assert "access_token" in exchange(github, code)
    assert exchange(github, code)["error"] == "bad_verification_code"


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_secret": "guessed"}, "incorrect_client_credentials"),
        ({"code": "guessed"}, "bad_verification_code"),
        ({"code_verifier": "guessed"}, "bad_verification_code"),
        ({"redirect_uri": f"{CALLBACK}/other"}, "redirect_uri_mismatch"),
        # GitHub checks the client secret and the callback URL before the code. `nox -s doctor` relies on this order.
        ({"client_secret": "guessed", "code": "guessed"}, "incorrect_client_credentials"),
        ({"redirect_uri": "https://elsewhere.example/hub/oauth_callback", "code": "guessed"}, "redirect_uri_mismatch"),
    ],
)
def test_a_bad_exchange_is_an_error_with_status_200(github: FakeGitHub, change: dict[str, str], error: str) -> None:
    refused = exchange(github, authorize(github)["code"], **change)
    assert refused["error"] == error
    assert refused["error_description"]


@pytest.mark.usefixtures("ada")
def test_callback_of_another_app_is_refused(github: FakeGitHub) -> None:
    assert authorize(github, redirect_uri="http://evil.example/")["error"] == "redirect_uri_mismatch"


def test_cancelled_login_returns_access_denied(github: FakeGitHub) -> None:
    assert authorize(github, login="")["error"] == "access_denied"


def test_an_unknown_app_and_a_weak_challenge_are_refused(github: FakeGitHub) -> None:
    url = f"{github.url}/login/oauth/authorize"
    assert httpx.get(url, params=LOGIN_QUERY | {"client_id": "guessed"}).status_code == 404
    assert httpx.get(url, params=LOGIN_QUERY | {"code_challenge_method": "plain"}).status_code == 400


def test_login_page_lists_accounts_and_escapes_names(github: FakeGitHub, ada: Account) -> None:
    ada.name = "<b>Ada</b>"
    github.world.add_organization("a-club", ada)
    page = httpx.get(f"{github.url}/login/oauth/authorize", params=LOGIN_QUERY).text
    assert "a-club" in page
    assert "&lt;b&gt;Ada" in page


def test_lists_have_pages_of_30_to_100_entries(github: FakeGitHub, ada: Account) -> None:
    for number in range(130):
        github.world.add_organization(f"club-{number}", ada)
    token = github.world.issue_token(ada, "read:org")
    assert len(call(github, token, "/user/orgs").json()) == 30
    first = call(github, token, "/user/orgs?per_page=500")
    assert len(first.json()) == 100
    assert 'rel="next"' in first.headers["Link"]
    second = httpx.get(first.links["next"]["url"], headers={"Authorization": f"Bearer {token}"})
    assert len(second.json()) == 30
    assert {"prev", "first"} == second.links.keys()


def test_email_address_is_shown_only_if_public(github: FakeGitHub, ada: Account) -> None:
    token = github.world.issue_token(ada, "user:email")
    assert call(github, token, "/user").json()["email"] is None
    assert {"ada@example.org"} == {one["email"] for one in call(github, token, "/user/emails").json() if one["primary"]}
    ada.email_is_public = True
    assert call(github, token, "/user").json()["email"] == "ada@example.org"


@pytest.mark.parametrize("path", ["/user/orgs", "/user/teams", "/user/memberships/orgs"])
def test_organizations_need_the_scope_read_org(github: FakeGitHub, ada: Account, path: str) -> None:
    github.world.add_organization("a-club", ada)
    assert call(github, github.world.issue_token(ada), path).status_code == 403
    fine = call(github, github.world.issue_token(ada, fine_grained=True), path)
    assert (fine.status_code, fine.json()) == (200, [])


def test_memberships_members_and_teams_are_listed(github: FakeGitHub, ada: Account) -> None:
    eve = github.world.add_account("eve")
    club = github.world.add_organization("A-Club", ada, crew=[ada])
    club.members[eve.id] = "pending"
    mine, hers = github.world.issue_token(ada, "read:org"), github.world.issue_token(eve, "read:org")
    assert call(github, mine, "/user/memberships/orgs/a-club").json()["state"] == "active"
    assert call(github, hers, "/user/memberships/orgs/a-club").json()["organization"]["id"] == club.id
    assert [one["state"] for one in call(github, hers, "/user/memberships/orgs").json()] == ["pending"]
    assert call(github, hers, "/user/memberships/orgs?state=active").json() == []
    assert call(github, hers, "/user/orgs").json() == []
    assert call(github, mine, "/user/memberships/orgs/other").status_code == 404
    assert call(github, mine, "/orgs/a-club/members/ADA").status_code == 204
    assert call(github, mine, "/orgs/a-club/members/eve").status_code == 404
    outside = call(github, hers, "/orgs/a-club/members/ada")
    assert (outside.status_code, outside.headers["location"][-26:]) == (302, "/A-Club/public_members/ada")
    assert call(github, hers, "/orgs/a-club/public_members/ada").status_code == 404
    club.public.add(ada.id)
    assert call(github, hers, "/orgs/a-club/public_members/ada").status_code == 204
    assert call(github, mine, "/user/teams").json()[0]["slug"] == "crew"
    assert httpx.get(f"{github.url}/api/v3/orgs/a-club").json()["id"] == club.id


def test_sso_and_missing_approval_hide_organizations(github: FakeGitHub, ada: Account) -> None:
    protected, unapproved = (github.world.add_organization(name, ada) for name in ("protected", "unapproved"))
    token = github.world.issue_token(ada, "read:org")
    protected.sso, unapproved.app_approved = True, False
    listed = call(github, token, "/user/orgs")
    assert listed.json() == []
    assert listed.headers["X-GitHub-SSO"] == f"partial-results; organizations={protected.id}"
    assert call(github, token, "/user/memberships/orgs/protected").headers["X-GitHub-SSO"].startswith("required")
    assert "restrictions" in call(github, token, "/user/memberships/orgs/unapproved").json()["message"]
    assert call(github, token, "/orgs/unapproved/members/ada").status_code == 403


def test_suspended_account_and_revoked_token_are_refused(github: FakeGitHub, ada: Account) -> None:
    token = github.world.issue_token(ada)
    ada.suspended = True
    suspended = call(github, token, "/user")
    assert (suspended.status_code, "X-RateLimit-Remaining" in suspended.headers) == (403, False)
    ada.suspended = False
    assert call(github, token, "/user").headers["X-RateLimit-Remaining"] == "4999"
    github.world.revoke_tokens(ada)
    refused = call(github, token, "/user")
    assert (refused.status_code, refused.json()["message"]) == (401, "Bad credentials")


@pytest.mark.parametrize(("kind", "left"), [("token", 1), ("grant", 0)])
def test_app_revokes_one_token_or_all(github: FakeGitHub, ada: Account, kind: str, left: int) -> None:
    token, _ = github.world.issue_token(ada), github.world.issue_token(ada)
    url = f"{github.url}/api/v3/applications/labhub-test/{kind}"
    body = {"access_token": token}
    assert httpx.request("DELETE", url, json=body).status_code == 404
    app = ("labhub-test", "made-up-client-secret")
    assert httpx.request("DELETE", url, auth=app).status_code == 422
    assert httpx.request("DELETE", url, json=body, auth=app).status_code == 204
    assert len(github.world.tokens) == left
    assert httpx.request("DELETE", url, json=body, auth=app).status_code == 404


def test_a_rename_frees_the_login_and_keeps_the_id(github: FakeGitHub, ada: Account) -> None:
    token = github.world.issue_token(ada)
    github.world.rename(ada, "Augusta")
    user = call(github, token, "/user").json()
    assert (user["login"], user["id"]) == ("Augusta", ada.id)
    assert github.world.add_account("ada").id != ada.id


@pytest.mark.parametrize(
    ("trouble", "status", "header"),
    [
        (Trouble("down"), 502, None),
        (Trouble("limited"), 403, "X-RateLimit-Remaining"),
        (Trouble("secondary"), 429, "Retry-After"),
        (Trouble("malformed"), 200, None),
        (Trouble("half"), 200, None),
    ],
    ids=lambda value: value.kind if isinstance(value, Trouble) else "",
)
def test_each_outage_starts_and_ends(
    github: FakeGitHub, ada: Account, trouble: Trouble, status: int, header: str | None
) -> None:
    token = github.world.issue_token(ada)
    github.world.trouble = trouble
    answer = call(github, token, "/user")
    assert answer.status_code == status
    assert header is None or header in answer.headers
    assert httpx.get(f"{github.url}/login/oauth/authorize", params=LOGIN_QUERY).status_code == 200
    github.world.trouble = None
    assert call(github, token, "/user").json()["login"] == "Ada"


def test_hanging_github_does_not_answer(github: FakeGitHub, ada: Account) -> None:
    github.world.trouble = Trouble("hang")
    with pytest.raises(httpx.ReadTimeout):
        call(github, github.world.issue_token(ada), "/user", timeout=0.2)


def test_client_without_a_user_agent_is_refused(github: FakeGitHub) -> None:
    assert httpx.get(f"{github.url}/api/v3/user", headers={"User-Agent": ""}).status_code == 403


def test_command_starts_a_github_with_sample_accounts(github: FakeGitHub) -> None:
    populate(github.world)
    cleo = github.world.find_account("cleo")
    assert cleo is not None
    assert len(github.world.memberships(cleo, "active")) == CLUBS + 1
    command = [sys.executable, "-m", "labtesting.github", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = line.partition("GITHUB_URL=")[2].split()[0]
        assert httpx.get(f"{url}/api/v3/orgs/lsst-sqre").status_code == 200
        process.terminate()
