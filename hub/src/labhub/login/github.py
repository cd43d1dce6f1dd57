"""Client of GitHub's REST API. Each query about a user uses the access token of this user."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from labhub.infra.http_client import get_session
from labhub.login.github_responses import (
    ForbiddenError,
    GitHubError,
    NotFoundError,
    Response,
    UnavailableError,
    check_status,
    parse_account,
    parse_json,
    parse_organization,
)
from labhub.models.access_rules import Membership, Memberships, Rule
from labhub.models.identity import Account, Organization

PAGE_SIZE = 100  # GitHub's maximum
PAGES_MAX = 100
HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "jupyterlabdemo",  # GitHub refuses requests without a user agent
}
NEXT_PAGE = re.compile(r'<([^>]+)>\s*;[^,]*rel="next"')


@dataclass(frozen=True)
class GitHubUser:
    """A GitHub account with its organizations and teams.

    Attributes
    ----------
    organizations
        Organizations of which the account is a member. The list includes organizations in `known` whose membership
        GitHub now hides.
    memberships
        Organizations and teams of the account in the form that the access rules need.
    """

    account: Account
    organizations: tuple[Organization, ...]
    memberships: Memberships


class GitHub:
    """Client of one GitHub instance.

    Parameters
    ----------
    api_url
        URL of the REST API, without a trailing slash.
    timeout
        Timeout in seconds for one method call, which can send several requests.
    """

    def __init__(self, api_url: str, timeout: float) -> None:
        self.api_url = api_url
        self.timeout = timeout

    async def fetch_user(self, token: str, rules: Iterable[Rule], known: Iterable[Organization] = ()) -> GitHubUser:
        """Return the owner of a token, with the owner's organizations and teams.

        Parameters
        ----------
        token
            Access token of the user.
        rules
            Access rules. The result includes the account's membership in each organization that the rules name.
        known
            Organizations in GitHub's last answer about this account. If GitHub now hides the membership in one of these
            organizations, the result still includes the organization.

        Raises
        ------
        GitHubError
            Raised as the subclass that describes the failure. After the timeout, and for an invalid response, this is
            `UnavailableError`.
        """
        try:
            async with asyncio.timeout(self.timeout):
                return await self._fetch_user(token, frozenset(rules), tuple(known))
        except TimeoutError as error:
            raise UnavailableError(f"no answer within {self.timeout} s") from error
        # If GitHub refuses to list the user's organizations or teams, the user's membership is unknown.
        except (ForbiddenError, NotFoundError) as error:
            raise UnavailableError(str(error)) from error

    async def fetch_email(self, token: str) -> str | None:
        """Return the primary e-mail address of a token's owner, or None if GitHub does not provide the address."""
        try:
            async with asyncio.timeout(self.timeout):
                emails = await self._fetch_list(token, "/user/emails")
        except (TimeoutError, GitHubError):
            return None
        for email in emails:
            match email:
                case {"primary": True, "email": str(address)}:
                    return address
        return None

    async def revoke(self, token: str, client_id: str, client_secret: str) -> None:
        """Revoke a user's token at GitHub. If the token is already invalid, do nothing.

        Raises
        ------
        GitHubError
            Raised if GitHub refuses the request or does not answer.
        """
        response = await self._send(
            "DELETE",
            f"/applications/{client_id}/token",
            auth=aiohttp.BasicAuth(client_id, client_secret),
            json={"access_token": token},
        )
        if response.status not in {404, 422}:
            check_status(response)

    async def _fetch_user(self, token: str, rules: frozenset[Rule], known: tuple[Organization, ...]) -> GitHubUser:
        account = parse_account(parse_json(await self._get(token, "/user")))
        organizations = {each.login.lower(): each for each in await self._fetch_organizations(token)}
        memberships = dict.fromkeys(organizations, Membership.ACTIVE)
        known_by_login = {each.login.lower(): each for each in known}
        # GitHub's list omits organizations to which the OAuth app has no access. So request the membership in each
        # missing organization by name.
        missing = sorted(({rule.organization for rule in rules} | known_by_login.keys()) - organizations.keys())
        answers = await asyncio.gather(*(self._fetch_membership(token, login) for login in missing))
        for login, (membership, organization) in zip(missing, answers, strict=True):
            memberships[login] = membership
            if membership is Membership.HIDDEN:
                organization = known_by_login.get(login)
            if organization:
                organizations[login] = organization
        teams = await self._fetch_teams(token) if any(rule.team for rule in rules) else frozenset[str]()
        return GitHubUser(account, tuple(organizations.values()), Memberships(memberships, teams))

    async def _fetch_organizations(self, token: str) -> list[Organization]:
        return [parse_organization(value) for value in await self._fetch_list(token, "/user/orgs")]

    async def _fetch_teams(self, token: str) -> frozenset[str]:
        teams = await self._fetch_list(token, "/user/teams")
        try:
            return frozenset(f"{team['organization']['login']}:{team['slug']}".lower() for team in teams)
        except (KeyError, TypeError) as error:
            raise UnavailableError("the list of teams has an unexpected format") from error

    async def _fetch_membership(self, token: str, organization: str) -> tuple[Membership, Organization | None]:
        try:
            value = parse_json(await self._get(token, f"/user/memberships/orgs/{organization}"))
        except NotFoundError:
            return Membership.NONE, None
        except ForbiddenError:
            return Membership.HIDDEN, None
        match value:
            case {"state": "active", "organization": member_of}:
                return Membership.ACTIVE, parse_organization(member_of)
            case {"state": "pending"}:
                return Membership.PENDING, None
        raise UnavailableError("the membership has an unexpected format")

    async def _fetch_list(self, token: str, path: str) -> list[Any]:
        url: str | None = f"{path}?per_page={PAGE_SIZE}"
        items: list[Any] = []
        for _ in range(PAGES_MAX):
            if url is None:
                return items
            response = await self._get(token, url)
            page = parse_json(response)
            if not isinstance(page, list):
                raise UnavailableError(f"{path} is not a list")
            items += page
            url = self._next_page(response)
        raise UnavailableError(f"{path} has more than {PAGES_MAX} pages")

    def _next_page(self, response: Response) -> str | None:
        link = NEXT_PAGE.search(response.headers.get("Link", ""))
        if link is None:
            return None
        if not link[1].startswith(f"{self.api_url}/"):  # the token must not be sent to another host
            raise UnavailableError("the next page is on another host")
        return link[1].removeprefix(self.api_url)

    async def _get(self, token: str, path: str) -> Response:
        response = await self._send("GET", path, headers={"Authorization": f"Bearer {token}"})
        check_status(response)
        return response

    async def _send(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **arguments: Any
    ) -> Response:
        try:
            async with get_session().request(
                method,
                self.api_url + path,
                headers={**HEADERS, **(headers or {})},
                timeout=aiohttp.ClientTimeout(self.timeout),
                allow_redirects=False,
                **arguments,
            ) as response:
                return Response(method, path, response.status, response.headers, await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UnavailableError(f"GitHub cannot be reached: {str(error) or type(error).__name__}") from error
