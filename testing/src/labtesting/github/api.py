"""The part of GitHub's REST API that describes users and their memberships."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from labtesting.github.messages import Request, Response, redirect
from labtesting.github.world import Account, Organization, Token, World

API = "/api/v3"
PAGE_SIZE = 30
PAGE_SIZE_MAX = 100
NOT_FOUND = Response(404, {"message": "Not Found"})
RESTRICTED = "the organization has enabled OAuth App access restrictions, meaning that access is limited"


class Caller:
    """The account and the token of an API request.

    Attributes
    ----------
    base
        URL of the API at the address that the client uses.
    """

    def __init__(self, world: World, request: Request, token: Token) -> None:
        self.world = world
        self.request = request
        self.token = token
        self.base = request.base + API
        self.account = world.accounts[token.account_id]

    def has_scope(self, *scopes: str) -> bool:
        """Check whether the token has at least one of these scopes."""
        return not self.token.scopes.isdisjoint(scopes)

    def answer_missing_scope(self) -> Response:
        """Return the answer to a token that lacks the required scope.

        It is an error, or an empty list for a fine-grained token.
        """
        if self.token.fine_grained:
            return Response(200, [])
        return Response(403, {"message": "You need at least read:org scope to list your organizations."})

    def filter_visible(self, organizations: list[Organization]) -> tuple[list[Organization], dict[str, str]]:
        """Return those of the organizations that the OAuth app may see, and the headers of the response.

        A header lists the organizations that are hidden because of single sign-on. The response does not mention
        organizations that are hidden for other reasons.
        """
        protected = ",".join(str(organization.id) for organization in organizations if organization.sso)
        headers = {"X-GitHub-SSO": f"partial-results; organizations={protected}"} if protected else {}
        return [organization for organization in organizations if not organization.hidden], headers


def refuse_hidden(organization: Organization) -> Response | None:
    """Return a response with status 403 if the OAuth app may not see the organization. Otherwise return None."""
    if organization.sso:
        url = f"https://example.org/orgs/{organization.login}/sso"
        message = "Resource protected by organization SAML enforcement."
        return Response(403, {"message": message}, {"X-GitHub-SSO": f"required; url={url}"})
    if not organization.app_approved:
        return Response(403, {"message": f"Although you appear to have the correct authorization, {RESTRICTED}."})
    return None


def describe(owner: Account | Organization, kind: str) -> dict[str, Any]:
    """Return the short description of an account or an organization, which is part of other objects of the API."""
    return {"login": owner.login, "id": owner.id, "node_id": f"n{owner.id}", "type": kind}


def paginate(caller: Caller, items: list[Any], headers: dict[str, str]) -> Response:
    """Return the page of a list that the request names, with the URLs of other pages in the Link header."""
    query = caller.request.query
    size = min(max(int(query.get("per_page", PAGE_SIZE)), 1), PAGE_SIZE_MAX)
    page, last = max(int(query.get("page", 1)), 1), max(-(-len(items) // size), 1)
    before = {"prev": page - 1, "first": 1} if page > 1 else {}
    after = {"next": page + 1, "last": last} if page < last else {}
    url = f"{caller.request.base}{caller.request.path}?per_page={size}&page="
    links = [f'<{url}{number}>; rel="{name}"' for name, number in (before | after).items()]
    link = {"Link": ", ".join(links)} if links else {}
    return Response(200, items[(page - 1) * size : page * size], headers | link)


def get_user(caller: Caller) -> Response:
    """Answer GET /user: the account of the token."""
    account = caller.account
    email = account.email if account.email_is_public else None
    return Response(200, describe(account, "User") | {"name": account.name or None, "email": email})


def get_emails(caller: Caller) -> Response:
    """Answer GET /user/emails: the addresses of the account."""
    if not caller.has_scope("user", "user:email"):
        return NOT_FOUND
    secondary = {"email": f"{caller.account.id}@noreply.example.org", "primary": False, "verified": True}
    return Response(200, [secondary, {"email": caller.account.email, "primary": True, "verified": True}])


def get_orgs(caller: Caller) -> Response:
    """Answer GET /user/orgs: organizations with an active membership."""
    if not caller.has_scope("user", "read:org"):
        return caller.answer_missing_scope()
    organizations, headers = caller.filter_visible(caller.world.memberships(caller.account, "active"))
    return paginate(caller, [describe(organization, "Organization") for organization in organizations], headers)


def get_memberships(caller: Caller) -> Response:
    """Answer GET /user/memberships/orgs: active and pending memberships."""
    if not caller.has_scope("read:org"):
        return caller.answer_missing_scope()
    organizations, headers = caller.filter_visible(caller.world.memberships(caller.account, "active", "pending"))
    state = caller.request.query.get("state")
    memberships = [describe_membership(caller, organization) for organization in organizations]
    return paginate(caller, [each for each in memberships if state in {None, each["state"]}], headers)


def describe_membership(caller: Caller, organization: Organization) -> dict[str, Any]:
    """Return the API's description of the caller's membership in an organization."""
    return {
        "state": organization.members[caller.account.id],
        "role": "member",
        "organization": describe(organization, "Organization"),
        "user": describe(caller.account, "User"),
    }


def get_membership(caller: Caller, login: str) -> Response:
    """Answer GET /user/memberships/orgs/{org}: the caller's membership, or status 404 if the caller has none."""
    organization = caller.world.find_organization(login)
    if organization is None:
        return NOT_FOUND
    if not caller.has_scope("read:org"):
        return Response(403, {"message": "You must have the read:org scope."})
    if refusal := refuse_hidden(organization):
        return refusal
    if caller.account.id not in organization.members:
        return NOT_FOUND
    return Response(200, describe_membership(caller, organization))


def get_member(caller: Caller, login: str, user: str) -> Response:
    """Answer GET /orgs/{org}/members/{username}: whether the user is a member.

    A caller who is not a member is redirected to the list of public members.
    """
    organization, account = caller.world.find_organization(login), caller.world.find_account(user)
    if organization is None:
        return NOT_FOUND
    if refusal := refuse_hidden(organization):
        return refusal
    if organization.members.get(caller.account.id) != "active" or not caller.has_scope("read:org"):
        return redirect(f"{caller.base}/orgs/{organization.login}/public_members/{user}")
    return Response(204) if account and organization.members.get(account.id) == "active" else NOT_FOUND


def get_public_member(caller: Caller, login: str, user: str) -> Response:
    """Answer GET /orgs/{org}/public_members/{username}: whether the user is a public member."""
    organization, account = caller.world.find_organization(login), caller.world.find_account(user)
    return Response(204) if organization and account and account.id in organization.public else NOT_FOUND


def get_teams(caller: Caller) -> Response:
    """Answer GET /user/teams: the teams of the account, in organizations that the OAuth app may see."""
    if not caller.has_scope("user", "read:org"):
        return caller.answer_missing_scope()
    organizations, headers = caller.filter_visible(caller.world.memberships(caller.account, "active"))
    teams = [
        {"slug": slug, "name": slug.title(), "organization": describe(organization, "Organization")}
        for organization in organizations
        for slug, members in organization.teams.items()
        if caller.account.id in members
    ]
    return paginate(caller, teams, headers)


def get_org(world: World, login: str) -> Response:
    """Answer GET /orgs/{org}, which needs no token."""
    organization = world.find_organization(login)
    return Response(200, describe(organization, "Organization")) if organization else NOT_FOUND


def delete_token(world: World, request: Request, client_id: str, kind: str) -> Response:
    """Answer DELETE /applications/{client_id}/token or /grant.

    `grant` revokes all tokens of the user.
    """
    credentials = base64.b64encode(f"{world.app.client_id}:{world.app.client_secret}".encode()).decode()
    if client_id != world.app.client_id or request.headers.get("authorization") != f"Basic {credentials}":
        return NOT_FOUND
    try:
        value = json.loads(request.body)["access_token"]
    except (ValueError, KeyError, TypeError):
        return Response(422, {"message": "Validation Failed"})
    token = world.tokens.get(value)
    if token is None:
        return NOT_FOUND
    if kind == "grant":
        world.revoke_tokens(world.accounts[token.account_id])
    else:
        del world.tokens[value]
    return Response(204)


WITH_TOKEN: list[tuple[re.Pattern[str], Callable[..., Response]]] = [
    (re.compile(r"/user"), get_user),
    (re.compile(r"/user/emails"), get_emails),
    (re.compile(r"/user/orgs"), get_orgs),
    (re.compile(r"/user/teams"), get_teams),
    (re.compile(r"/user/memberships/orgs"), get_memberships),
    (re.compile(r"/user/memberships/orgs/([^/]+)"), get_membership),
    (re.compile(r"/orgs/([^/]+)/members/([^/]+)"), get_member),
    (re.compile(r"/orgs/([^/]+)/public_members/([^/]+)"), get_public_member),
]


def answer(world: World, request: Request) -> Response:
    """Return the response to a request to the REST API."""
    path = request.path.removeprefix(API)
    if not request.headers.get("user-agent"):
        return Response(403, "Request forbidden by administrative rules. Please make sure it has a User-Agent.")
    if request.method == "DELETE" and (found := re.fullmatch(r"/applications/([^/]+)/(token|grant)", path)):
        return delete_token(world, request, *found.groups())
    if request.method != "GET":
        return NOT_FOUND
    if found := re.fullmatch(r"/orgs/([^/]+)", path):
        return get_org(world, found[1])
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    token = world.tokens.get(value) if kind.lower() in {"bearer", "token"} else None
    if token is None:
        return Response(401, {"message": "Bad credentials"})
    if world.accounts[token.account_id].suspended:
        return Response(403, {"message": "Sorry. Your account was suspended."})
    for pattern, function in WITH_TOKEN:
        if found := pattern.fullmatch(path):
            return function(Caller(world, request, token), *found.groups())
    return NOT_FOUND
