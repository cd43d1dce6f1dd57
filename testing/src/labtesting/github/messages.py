"""A request and a response, freed of the server that carries them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """What came in.

    Attributes
    ----------
    headers
        Their names in lower case.
    base
        The server's URL as the client reaches it, no slash at the end.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    base: str

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query, the last value of each name."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return {name: values[-1] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True)
class Response:
    """What goes out: JSON, or a page if the body is a string."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        """The media type."""
        return "text/html; charset=utf-8" if isinstance(self.body, str) else "application/json; charset=utf-8"

    def encode(self) -> bytes:
        """Give the body as bytes; none for None."""
        if self.body is None:
            return b""
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


def redirect(url: str) -> Response:
    """Send the browser somewhere else."""
    return Response(302, headers={"Location": url})
