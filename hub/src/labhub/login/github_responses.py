"""Responses of GitHub's REST API: their errors, and the objects that the hub reads from them.

No error message contains a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from labhub.models.identity import Account, Organization
from labhub.models.login_errors import LoginRefusal


class GitHubError(Exception):
    """GitHub did not return the requested data."""


class RevokedError(GitHubError):
    """The token is no longer valid (401)."""


class SuspendedError(GitHubError):
    """GitHub has suspended the account."""


class ForbiddenError(GitHubError):
    """The token has no access to the data (403)."""


class NotFoundError(GitHubError):
    """The data does not exist, or GitHub hides it (404)."""


class UnavailableError(GitHubError):
    """GitHub cannot answer at the moment, so the user's membership is unknown.

    Attributes
    ----------
    reason
        `RATE_LIMITED` or `GITHUB_DOWN`.
    """

    def __init__(self, message: str, reason: LoginRefusal = LoginRefusal.GITHUB_DOWN) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Response:
    """A response of the API. The names of its headers are case-insensitive."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def check_status(response: Response) -> None:
    """Raise the error that corresponds to the response's status, if any.

    https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api

    Raises
    ------
    GitHubError
        Raised as one of its subclasses, unless the status is below 300.
    """
    status = response.status
    if status < 300:
        return
    text = f"{status} from {response.method} {response.path.partition('?')[0]}"
    message = read_message(response).lower()
    limited = response.headers.get("X-RateLimit-Remaining") == "0" or "Retry-After" in response.headers
    if status == 429 or (status == 403 and (limited or "rate limit" in message)):
        raise UnavailableError(text, LoginRefusal.RATE_LIMITED)
    if status == 401:
        raise RevokedError(text)
    # Only the answer to `/user` is about the account. A suspended organization or app must not end the user's access.
    if status == 403 and "suspended" in message and response.path == "/user":
        raise SuspendedError(text)
    if status == 403:
        raise ForbiddenError(text)
    if status == 404:
        raise NotFoundError(text)
    raise UnavailableError(text)


def read_message(response: Response) -> str:
    """Return the message of an error response, or an empty string."""
    try:
        return str(json.loads(response.body)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def parse_json(response: Response) -> object:
    """Return the parsed JSON body of a response.

    Raises
    ------
    UnavailableError
        Raised if the body is not JSON.
    """
    try:
        return json.loads(response.body)
    except (ValueError, RecursionError) as error:
        raise UnavailableError("the response is not JSON") from error


def parse_account(value: object) -> Account:
    """Parse a GitHub account in a JSON object of the API."""
    return Account(*_parse_id_and_login(value))


def parse_organization(value: object) -> Organization:
    """Parse a GitHub organization in a JSON object of the API."""
    return Organization(*_parse_id_and_login(value))


def _parse_id_and_login(value: object) -> tuple[int, str]:
    # During outages GitHub has sent HTML pages and incomplete objects with status 200.
    match value:
        case {"id": int(number), "login": str(login)} if number > 0 and login:
            return number, login
    raise UnavailableError("the response has no id and login")
