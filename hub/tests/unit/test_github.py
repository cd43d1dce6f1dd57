"""Tests of the client of GitHub: unusual answers must not leak a token, and must not end a user's access."""

from __future__ import annotations

import pytest
from labhub.login.github import GitHub
from labhub.login.github_responses import Response, SuspendedError, UnavailableError, check_status

API = "https://api.github.example"


def answer(path: str, code: int = 200, body: bytes = b"[]", **headers: str) -> Response:
    """Return a response of GitHub's API to a GET request."""
    return Response("GET", path, code, headers, body)


def test_token_is_not_sent_to_another_host() -> None:
    github = GitHub(API, 1)
    next_page = f'<{API}/user/orgs?page=2>; rel="next"'
    assert github._next_page(answer("/user/orgs", Link=next_page)) == "/user/orgs?page=2"
    for elsewhere in ("https://elsewhere.example/user/orgs", f"{API}.elsewhere.example/user/orgs"):
        with pytest.raises(UnavailableError):
            github._next_page(answer("/user/orgs", Link=f'<{elsewhere}>; rel="next"'))


def test_other_403_is_no_suspension() -> None:
    body = b'{"message": "Sorry. This has been suspended."}'
    with pytest.raises(SuspendedError):
        check_status(answer("/user", 403, body))
    with pytest.raises(Exception, match="403") as raised:
        check_status(answer("/user/memberships/orgs/rubin", 403, body))
    assert not isinstance(raised.value, SuspendedError)
