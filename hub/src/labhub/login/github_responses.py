"""Responses of GitHub's REST API: the errors for failed requests, and the objects that the hub reads from responses.

No error message contains a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from labhub.models.identity import Account, Organization
from labhub.models.login_errors import LoginRefusal


class GitHubError(Exception):
    """Error for a request to which GitHub has not returned the requested data."""


class RevokedError(GitHubError):
    """Error for a token that is no longer valid (status 401)."""


class SuspendedError(GitHubError):
    """Error for an account that GitHub has suspended (status 403)."""


class ForbiddenError(GitHubError):
    """Error for a token that has no access to the requested data (status 403)."""


class NotFoundError(GitHubError):
    """Error for requested data that does not exist, or that GitHub hides from the token (status 404)."""


class UnavailableError(GitHubError):
    """Error for a request that GitHub cannot answer at the moment. The user's membership is then unknown.

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
    """A response of GitHub's API, and the request's method and path. The names in `headers` are case-insensitive."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def check_status(response: Response) -> None:
    """Raise the error for a response with an error status.

    https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api

    Raises
    ------
    GitHubError
        Raised as the subclass that describes the failure, if the status is 300 or higher.
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
    # Only a response to `/user` reports that the account is suspended. In other responses the organization or the app
    # is suspended, which must not end the user's access.
    if status == 403 and "suspended" in message and response.path == "/user":
        raise SuspendedError(text)
    if status == 403:
        raise ForbiddenError(text)
    if status == 404:
        raise NotFoundError(text)
    raise UnavailableError(text)


def read_message(response: Response) -> str:
    """Return the message in the body of an error response, or an empty string if the body has no message."""
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
    """Parse a JSON object of the API that describes an account."""
    return Account(*_parse_id_and_login(value))


def parse_organization(value: object) -> Organization:
    """Parse a JSON object of the API that describes an organization."""
    return Organization(*_parse_id_and_login(value))


def _parse_id_and_login(value: object) -> tuple[int, str]:
    # Check the fields, because during outages GitHub has sent incomplete objects with status 200.
    match value:
        case {"id": int(number), "login": str(login)} if number > 0 and login:
            return number, login
    raise UnavailableError("the response has no id and login")
