"""What we ask GitHub's REST API, and what its answers mean.

The token that a call is made with is a parameter and is never part of an error's message.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from labhub.infra import http_session as connections
from labhub.models.access_rules import Membership, Rule, Standing
from labhub.models.identity import Account, Organization
from labhub.models.login_errors import Reason

PAGE_SIZE = 100  # GitHub's most; without asking it gives 30
PAGES_MAX = 100
HEADERS = {
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "jupyterlabdemo",  # GitHub refuses a request without one
}
NEXT_PAGE = re.compile(r'<([^>]+)>\s*;[^,]*rel="next"')


class GitHubError(Exception):
    """GitHub did not give what we asked for."""


class RevokedError(GitHubError):
    """The token is not valid any more (401)."""


class SuspendedError(GitHubError):
    """GitHub has suspended the account."""


class ForbiddenError(GitHubError):
    """The token may not see this (403)."""


class NotFoundError(GitHubError):
    """There is no such thing, or it is not to be seen (404)."""


class UnavailableError(GitHubError):
    """GitHub cannot be asked now: nothing follows about the person.

    Attributes
    ----------
    reason
        Whether GitHub limits us or is in trouble.
    """

    def __init__(self, message: str, reason: Reason = Reason.GITHUB_DOWN) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Person:
    """An account, and where it is a member.

    Attributes
    ----------
    organizations
        With their ids: those that GitHub lists, and those that rules name.
    standing
        What rules are held against.
    """

    account: Account
    organizations: tuple[Organization, ...]
    standing: Standing


@dataclass(frozen=True)
class Answer:
    """What GitHub says to a request for a path; the names of headers are case-insensitive."""

    method: str
    path: str
    code: int
    headers: Mapping[str, str]
    body: bytes


def check(answer: Answer) -> None:
    """Raise the error that an answer stands for."""
    code = answer.code
    if code < 300:
        return
    what = f"{code} from {answer.method} {answer.path.partition('?')[0]}"
    message = read_message(answer).lower()
    limited = answer.headers.get("X-RateLimit-Remaining") == "0" or "Retry-After" in answer.headers
    if code == 429 or (code == 403 and (limited or "rate limit" in message)):
        raise UnavailableError(what, Reason.RATE_LIMITED)
    if code == 401:
        raise RevokedError(what)
    # Of the account, that is: an organization or an app may be suspended, too, and a lab is not stopped for that.
    if code == 403 and "suspended" in message and answer.path == "/user":
        raise SuspendedError(what)
    if code == 403:
        raise ForbiddenError(what)
    if code == 404:
        raise NotFoundError(what)
    raise UnavailableError(what)


def read_message(answer: Answer) -> str:
    """Give the message of an error, or nothing."""
    try:
        return str(json.loads(answer.body)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def parse_account(found: object) -> Account:
    """Read an account from JSON."""
    return Account(*parse_names(found))


def parse_organization(found: object) -> Organization:
    """Read an organization from JSON."""
    return Organization(*parse_names(found))


def parse_names(found: object) -> tuple[int, str]:
    """Read id and login; GitHub in trouble has sent pages and half objects with status 200."""
    match found:
        case {"id": int(number), "login": str(login)} if number > 0 and login:
            return number, login
    raise UnavailableError("an answer without id and login")


class GitHub:
    """A client of one GitHub.

    Parameters
    ----------
    api_url
        Of the REST API, no slash at the end.
    timeout
        Seconds for one question, however many requests it takes.
    """

    def __init__(self, api_url: str, timeout: float) -> None:
        self.api_url = api_url
        self.timeout = timeout

    async def fetch_person(self, token: str, rules: Iterable[Rule], known: Iterable[Organization] = ()) -> Person:
        """Ask who the owner of a token is, and where they are a member.

        Parameters
        ----------
        token
            The person's.
        rules
            What the person's standing is to be held against.
        known
            Organizations where they were a member when last asked. One that GitHub hides now is kept.

        Raises
        ------
        GitHubError
            One of its kinds; `UnavailableError` also when it takes too long or makes no sense.
        """
        try:
            async with asyncio.timeout(self.timeout):
                return await self._fetch_person(token, frozenset(rules), tuple(known))
        except TimeoutError as error:
            raise UnavailableError(f"no answer within {self.timeout} s") from error
        except (ForbiddenError, NotFoundError) as error:  # of the person's own lists: no word about the person
            raise UnavailableError(str(error)) from error

    async def fetch_email(self, token: str) -> str | None:
        """Ask for the primary e-mail address; None if it is not to be had."""
        try:
            async with asyncio.timeout(self.timeout):
                found = await self._list(token, "/user/emails")
        except (TimeoutError, GitHubError):
            return None
        for one in found:
            match one:
                case {"primary": True, "email": str(address)}:
                    return address
        return None

    async def revoke(self, token: str, client_id: str, client_secret: str) -> None:
        """Make a token invalid; one that is so already is no error.

        Raises
        ------
        GitHubError
            GitHub refuses or does not answer.
        """
        answer = await self._send(
            "DELETE",
            f"/applications/{client_id}/token",
            auth=aiohttp.BasicAuth(client_id, client_secret),
            json={"access_token": token},
        )
        if answer.code not in {404, 422}:
            check(answer)

    async def _fetch_person(self, token: str, rules: frozenset[Rule], known: tuple[Organization, ...]) -> Person:
        account = parse_account(self._parse(await self._get(token, "/user")))
        organizations = {one.login.lower(): one for one in await self._organizations(token)}
        memberships = dict.fromkeys(organizations, Membership.ACTIVE)
        before = {one.login.lower(): one for one in known}
        # A list silently leaves out what the app may not see, so what is missing there is asked for by name.
        missing = sorted(({rule.organization for rule in rules} | before.keys()) - organizations.keys())
        answers = await asyncio.gather(*(self._membership(token, login) for login in missing))
        for login, (membership, organization) in zip(missing, answers, strict=True):
            memberships[login] = membership
            if membership is Membership.HIDDEN:
                organization = before.get(login)
            if organization:
                organizations[login] = organization
        teams = await self._teams(token) if any(rule.team for rule in rules) else frozenset[str]()
        return Person(account, tuple(organizations.values()), Standing(memberships, teams))

    async def _organizations(self, token: str) -> list[Organization]:
        return [parse_organization(one) for one in await self._list(token, "/user/orgs")]

    async def _teams(self, token: str) -> frozenset[str]:
        found = await self._list(token, "/user/teams")
        try:
            return frozenset(f"{one['organization']['login']}:{one['slug']}".lower() for one in found)
        except (KeyError, TypeError) as error:
            raise UnavailableError("a list of teams of another shape") from error

    async def _membership(self, token: str, organization: str) -> tuple[Membership, Organization | None]:
        try:
            found = self._parse(await self._get(token, f"/user/memberships/orgs/{organization}"))
        except NotFoundError:
            return Membership.NONE, None
        except ForbiddenError:
            return Membership.HIDDEN, None
        match found:
            case {"state": "active", "organization": known}:
                return Membership.ACTIVE, parse_organization(known)
            case {"state": "pending"}:
                return Membership.PENDING, None
        raise UnavailableError("a membership of another shape")

    async def _list(self, token: str, path: str) -> list[Any]:
        url: str | None = f"{path}?per_page={PAGE_SIZE}"
        items: list[Any] = []
        for _ in range(PAGES_MAX):
            if url is None:
                return items
            answer = await self._get(token, url)
            page = self._parse(answer)
            if not isinstance(page, list):
                raise UnavailableError(f"{path} is not a list")
            items += page
            url = self._next_page(answer)
        raise UnavailableError(f"{path} does not end")

    def _next_page(self, answer: Answer) -> str | None:
        link = NEXT_PAGE.search(answer.headers.get("Link", ""))
        if link is None:
            return None
        if not link[1].startswith(f"{self.api_url}/"):  # the token goes nowhere else
            raise UnavailableError("the next page is on another host")
        return link[1].removeprefix(self.api_url)

    async def _get(self, token: str, path: str) -> Answer:
        answer = await self._send("GET", path, headers={"Authorization": f"Bearer {token}"})
        check(answer)
        return answer

    async def _send(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
        try:
            async with connections.session().request(
                method,
                self.api_url + path,
                headers={**HEADERS, **(headers or {})},
                timeout=aiohttp.ClientTimeout(self.timeout),
                allow_redirects=False,
                **more,
            ) as response:
                return Answer(method, path, response.status, response.headers, await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UnavailableError(f"GitHub cannot be reached: {str(error) or type(error).__name__}") from error

    @staticmethod
    def _parse(answer: Answer) -> object:
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise UnavailableError("an answer that is not JSON") from error
