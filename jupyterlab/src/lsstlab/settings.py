"""The settings of a standalone lab. This module reads them from environment variables."""

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

# The user names that useradd accepts, except names with capital letters or with a $ at the end, which useradd
# discourages
USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
PASSWORD_MIN = 8
PASSWORD_MAX = 200  # chpasswd accepts 512 bytes, and a character can have more than one byte


class SettingsError(LabError):
    """A wrong setting, or a container that cannot run the lab. The message names the problem and the next action."""


@dataclass(frozen=True)
class Settings:
    """The settings of a standalone lab, which is a hub that one user runs.

    Attributes
    ----------
    user
        The user who may log in.
    password
        The user's password; None: the lab creates a random password and prints it.
    login
        With `pam`, the operating system checks the password. With `password`, the hub checks the password, so the
        machine's /etc/passwd does not change.
    ip
        IP address on which the proxy listens for browsers.
    port
        Port on which the proxy listens for browsers.
    hub_port
        Port on 127.0.0.1 on which the hub listens for requests of the proxy and the labs.
    proxy_api_port
        Port on 127.0.0.1 on which the proxy listens for requests of the hub.
    state
        The folder with the hub's database and cookie secret, and with homes if `login` is `password`.
    proxy
        The folder in which the script install/proxy has installed the proxy.
    command
        The path of the program `lab`, which starts a lab. The script install/lab has installed the program.
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
    """Return the TCP port in an environment variable, or the default if the variable is missing or empty.

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
    """Return the IP address in an environment variable, or the default. An IPv6 address is in brackets, as in a URL.

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
    """Return the password in LAB_PASSWORD, or in the file that LAB_PASSWORD_FILE names. Return None without a password.

    Raises
    ------
    SettingsError
        Raised if the password cannot be read, is too short, is too long or is not one line of text. The message never
        contains the password, because messages are logged.
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
    """Return the name in LAB_USER, which is the user who may log in. The default is `demo`.

    Raises
    ------
    SettingsError
        Raised if the name does not match USER_NAME.
    """
    user = environ.get("LAB_USER") or "demo"
    if not USER_NAME.fullmatch(user):
        raise SettingsError(
            f"LAB_USER: found {user!r}, wanted a user name: lower case letters, digits, - and _, at most 32, "
            "not a digit first"
        )
    return user


def read_login(environ: Mapping[str, str]) -> str:
    """Return who checks the password, from LAB_LOGIN: `pam` (the operating system) or `password` (the hub).

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
    """Return whether LAB_CLEAN_SETTINGS requests clean settings for the first lab of each user.

    Raises
    ------
    SettingsError
        Raised if LAB_CLEAN_SETTINGS is neither empty, 0 nor 1.
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
        Raised if a setting is wrong. The message names the first wrong setting.
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
