"""The settings of a standalone lab, which only this module reads from the environment."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from lsstlab.clean_settings import CleanSettingsError, wants_clean_settings
from lsstlab.errors import LabError
from lsstlab.shared.secret_files import SecretError, read_secret

# useradd's rule, without the capital letters and the trailing $ that useradd accepts but discourages
USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
PASSWORD_MIN = 8
PASSWORD_MAX = 200  # chpasswd accepts at most 512 bytes


class SettingsError(LabError):
    """A missing or wrong setting. The message names the setting, its value and the accepted values."""


@dataclass(frozen=True)
class Settings:
    """The settings of a hub that one user runs.

    Attributes
    ----------
    user
        The user who may log in.
    password
        The user's password; None: a random one is generated and printed.
    login
        `pam`: the operating system checks the password. `password`: the hub checks it, for a machine whose
        /etc/passwd must not change.
    ip, port
        Address on which the proxy listens for browsers.
    hub_port, proxy_api_port
        Ports on 127.0.0.1 for requests between the hub and the proxy.
    state
        The folder of the hub's database, cookie secret and homes.
    proxy
        The folder that install/proxy created.
    command
        The program that starts a lab: `lab` in the environment that install/lab created.
    clean_settings
        Whether the first lab of each user starts with clean settings.
    """

    user: str
    password: str | None
    login: str
    ip: str
    port: int
    hub_port: int
    proxy_api_port: int
    state: Path
    proxy: Path
    command: Path
    clean_settings: bool = False


def read_port(environ: Mapping[str, str], name: str, default: int) -> int:
    """Return the TCP port in a variable.

    Raises
    ------
    SettingsError
        Raised if the value is not a number from 1 to 65535.
    """
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536):
        raise SettingsError(f"{name}: found {text[:20]!r}, wanted a port from 1 to 65535")
    return int(text)


def read_ip(environ: Mapping[str, str], name: str, default: str) -> str:
    """Return an IP address in the form that URLs use.

    Raises
    ------
    SettingsError
        Raised if the value is not an IP address.
    """
    text = environ.get(name) or default
    try:
        ip = ip_address(text)
    except ValueError:
        raise SettingsError(f"{name}: found {text!r}, wanted an IP address to listen on") from None
    return f"[{ip}]" if ip.version == 6 else str(ip)


def read_password(environ: Mapping[str, str]) -> str | None:
    """Return the password from LAB_PASSWORD or the file that LAB_PASSWORD_FILE names, or None if neither is set.

    Raises
    ------
    SettingsError
        Raised if the password cannot be read or is refused. The message never quotes it, because messages are logged.
    """
    try:
        password = read_secret(environ, "LAB_PASSWORD")
    except SecretError as error:
        raise SettingsError(str(error)) from error
    if password is None:
        return None
    source = "LAB_PASSWORD_FILE" if environ.get("LAB_PASSWORD_FILE") else "LAB_PASSWORD"
    if len(password) < PASSWORD_MIN:
        raise SettingsError(f"{source}: found {len(password)} characters, wanted {PASSWORD_MIN} or more")
    if len(password) > PASSWORD_MAX:
        raise SettingsError(f"{source}: found {len(password)} characters, wanted {PASSWORD_MAX} or fewer")
    if not password.isprintable():
        raise SettingsError(f"{source}: found a line break or another control character, wanted one line of text")
    return password


def read_user(environ: Mapping[str, str]) -> str:
    """Return the name of the user who may log in.

    Raises
    ------
    SettingsError
        Raised if useradd would refuse the name.
    """
    user = environ.get("LAB_USER") or "demo"
    if not USER_NAME.fullmatch(user):
        raise SettingsError(
            f"LAB_USER: found {user!r}, wanted a user name: lower case letters, digits, - and _, at most 32, "
            "not a digit first"
        )
    return user


def read_login(environ: Mapping[str, str]) -> str:
    """Return the kind of password check, `pam` or `password`.

    Raises
    ------
    SettingsError
        Raised if the value is neither `pam` nor `password`.
    """
    login = environ.get("LAB_LOGIN") or "pam"
    if login not in {"pam", "password"}:
        raise SettingsError(f"LAB_LOGIN: found {login!r}, wanted pam or password")
    return login


def read_clean_settings(environ: Mapping[str, str]) -> bool:
    """Return whether the first lab of each user starts with clean settings.

    Raises
    ------
    SettingsError
        Raised if the value is neither 0 nor 1.
    """
    try:
        return wants_clean_settings(environ)
    except CleanSettingsError as error:
        raise SettingsError(str(error)) from error


def load(environ: Mapping[str, str]) -> Settings:
    """Return all settings of a standalone lab.

    Raises
    ------
    SettingsError
        Raised if a setting is wrong. The message names the first one.
    """
    user, login = read_user(environ), read_login(environ)
    port = read_port(environ, "LAB_PORT", 8000)
    hub_port = read_port(environ, "LAB_HUB_PORT", 8081)
    proxy_api_port = read_port(environ, "LAB_PROXY_API_PORT", 8001)
    if port in {hub_port, proxy_api_port}:
        raise SettingsError(f"LAB_PORT: found {port}, which the hub or the proxy's API uses, wanted another port")
    return Settings(
        user=user,
        password=read_password(environ),
        login=login,
        ip=read_ip(environ, "LAB_IP", "127.0.0.1"),
        port=port,
        hub_port=hub_port,
        proxy_api_port=proxy_api_port,
        state=Path(environ.get("LAB_STATE") or "/var/lib/lab"),
        proxy=Path(environ.get("LAB_PROXY") or "/opt/proxy"),
        command=Path(environ.get("LAB_COMMAND") or Path(sys.prefix) / "bin" / "lab"),
        clean_settings=read_clean_settings(environ),
    )
