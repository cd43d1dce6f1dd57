"""Settings of the login: GitHub, the OAuth app at GitHub, and who may log in."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from labhub.models.access_rules import Rule, parse_rule
from labhub.models.identity import ReservedNames

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def split_list(text: str) -> list[str]:
    """Return the parts of a text between commas, without white space at their ends and without empty parts."""
    return [part.strip() for part in text.split(",") if part.strip()]


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Parse a list of access rules, separated by commas. Each rule is `org` or `org:team`."""
    rules = tuple(dict.fromkeys(parse_rule(part) for part in split_list(text)))
    if not rules:
        raise ValueError("the list is empty: no user could log in")
    return rules


def parse_admins(text: str) -> tuple[int | Rule, ...]:
    """Parse a list of administrators, separated by commas. Each entry is a GitHub id or `org:team`.

    A GitHub login is invalid here, because another account can take over the login.
    """
    admins = tuple(int(part) if part.isascii() and part.isdigit() else parse_rule(part) for part in split_list(text))
    if any(isinstance(admin, Rule) and admin.team is None for admin in admins):
        raise ValueError("an entry is neither a number nor org:team")
    return admins


def parse_keys(text: str) -> tuple[SecretStr, ...]:
    """Parse a list of encryption keys, separated by semicolons, the newest key first.

    Each key has 32 bytes, as 64 hexadecimal digits or in base64.
    """
    keys = tuple(SecretStr(part.strip()) for part in text.split(";") if part.strip())
    for key in keys:
        text = key.get_secret_value()
        if not re.fullmatch("[0-9a-fA-F]{64}", text) and len(base64.b64decode(text, b"-_", validate=True)) != 32:
            raise ValueError("not 32 bytes")
    if not keys:
        raise ValueError("no key")
    return keys


def check_url(url: str) -> str:
    """Return a URL without a trailing slash, or raise a ValueError.

    The URL must use https. A URL of the hub's own machine may use http.
    """
    parts = urlsplit(url)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if not (safe and parts.hostname) or parts.query or parts.fragment or parts.username:
        raise ValueError("neither an https URL nor an http URL to this machine")
    return url.rstrip("/")


def check_callback(url: str) -> str:
    """Return a URL if its path is that of the hub's OAuth callback, else raise a ValueError."""
    if not check_url(url).endswith("/hub/oauth_callback"):
        raise ValueError("not the path of the OAuth callback")
    return url


def read_names(path: Path) -> dict[str, int]:
    """Return the UIDs in a passwd file by user name, or the GIDs in a group file by group name."""
    fields = (line.split(":") for line in path.read_text().splitlines() if line and not line.startswith("#"))
    return {name: int(number) for name, _, number, *_ in fields}


NamesFile = Annotated[dict[str, int], BeforeValidator(lambda path: read_names(Path(path)))]
Required = Annotated[str, Field(min_length=1)]


class LoginSettings(BaseModel):
    """Settings of the login.

    The alias of a field is the name of the environment variable. Error messages quote the description of a field.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    crypt_keys: Annotated[tuple[SecretStr, ...], BeforeValidator(parse_keys)] = Field(
        alias="JUPYTERHUB_CRYPT_KEY",
        description="32 random bytes as 64 hexadecimal digits (openssl rand -hex 32); older keys after a semicolon",
    )
    client_id: Required = Field(alias="GITHUB_CLIENT_ID", description="the client id of the OAuth app at GitHub")
    client_secret: Annotated[SecretStr, Field(min_length=1)] = Field(
        alias="GITHUB_CLIENT_SECRET", description="a client secret of the OAuth app at GitHub"
    )
    callback_url: Annotated[str, AfterValidator(check_callback)] = Field(
        alias="OAUTH_CALLBACK_URL", description="https://<the hub's host>/hub/oauth_callback, as in the OAuth app"
    )
    allowed: Annotated[tuple[Rule, ...], BeforeValidator(parse_rules)] = Field(
        alias="GITHUB_ORGANIZATION_WHITELIST",
        description="at least one organization or team whose members may log in: org or org:team, separated by commas",
    )
    github_url: Annotated[str, AfterValidator(check_url)] = Field(
        "https://github.com", alias="GITHUB_URL", description="an https URL (http only to this machine)"
    )
    admins: Annotated[tuple[int | Rule, ...], BeforeValidator(parse_admins)] = Field(
        (), alias="GITHUB_ADMINS", description="GitHub ids (numbers, not logins) and org:team, separated by commas"
    )
    refresh_seconds: Annotated[int, Field(ge=1, le=86400)] = Field(
        300, alias="GITHUB_REFRESH_SECONDS", description="1 to 86400 seconds"
    )
    stale_seconds: Annotated[int, Field(ge=0)] = Field(
        86400, alias="GITHUB_STALE_SECONDS", description="0 or more seconds"
    )
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        10, alias="GITHUB_TIMEOUT_SECONDS", description="more than 0 and at most 60 seconds"
    )
    revoke_on_logout: bool = Field(True, alias="GITHUB_REVOKE_ON_LOGOUT", description="true or false")
    contact: str = Field("", alias="SUPPORT_CONTACT", description="an address or a sentence")
    passwd: NamesFile = Field(alias="LAB_PASSWD", description="the path of the passwd file of the lab's image")
    group: NamesFile = Field(alias="LAB_GROUP", description="the path of the group file of the lab's image")

    @property
    def reserved_names(self) -> ReservedNames:
        """Users and groups of the lab's image, whose names and numbers no user of the hub gets."""
        ids = frozenset(self.passwd.values()) | frozenset(self.group.values())
        return ReservedNames(ids, frozenset(self.passwd), frozenset(self.group))
