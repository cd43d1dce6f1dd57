"""HTTP requests and responses as plain objects, independent of the server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """An HTTP request to the simulated GitHub.

    Attributes
    ----------
    headers
        Values of the headers. The keys are the names of the headers in lower case.
    base
        The server's URL at the address that the client uses, without a slash at the end.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    base: str

    @property
    def path(self) -> str:
        """The path of the request, without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The parameters in the query of the URL. If a name is repeated, its last value counts."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form in the body. If a name is repeated, its last value counts."""
        return {name: values[-1] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True)
class Response:
    """An HTTP response. A body of type `str` is an HTML page; any other body is sent as JSON."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        """The media type of the body, for the header Content-Type."""
        return "text/html; charset=utf-8" if isinstance(self.body, str) else "application/json; charset=utf-8"

    def encode(self) -> bytes:
        """Return the body as bytes, which are empty if the body is None."""
        if self.body is None:
            return b""
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


def redirect(url: str) -> Response:
    """Return a redirect to a URL."""
    return Response(302, headers={"Location": url})
