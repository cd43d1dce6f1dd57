"""The settings of labfiles. No other module reads environment variables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from labfiles.shared.secret_files import SecretError, read_secret_file

TOKEN_LENGTH = 16
PORT = "a port, 0 to 65535 (0: any free port)"
T = TypeVar("T")


class SettingsError(Exception):
    """A missing or wrong setting. The message names the setting, its value and the accepted values."""


@dataclass(frozen=True)
class Settings:
    """All settings of labfiles.

    Attributes
    ----------
    storage
        The folder where the volume is mounted.
    token_file
        The file with the hub's token. labfiles reads the file for each request, because an administrator may change the
        Secret.
    host, port
        The address where the API listens. Port 0 selects a free port.
    metrics_port
        The port of /metrics, /live and /ready. Port 0 selects a free port.
    nfs
        Whether Ganesha runs in the same pod. If False, labfiles exports no metrics of NFS.
    nfs_port
        Ganesha's port on this machine.
    usage_seconds
        Seconds from the start of a scan of disk usage to the start of the next scan.
    usage_rate
        The largest number of files that a scan reads per second.
    """

    storage: Path
    token_file: Path
    host: str
    port: int
    metrics_port: int
    nfs: bool
    nfs_port: int
    usage_seconds: int
    usage_rate: int


def read_token(file: Path) -> str:
    """Return the hub's token from a file.

    Raises
    ------
    SettingsError
        Raised if the file cannot be read, or if the token is too short, has a space or is not printable ASCII.
    """
    try:
        token = read_secret_file(file, "LABFILES_TOKEN_FILE")
    except SecretError as error:
        raise SettingsError(str(error)) from error
    if len(token) < TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(
            f"LABFILES_TOKEN_FILE: found {len(token)} characters in {file}, wanted a random secret of at least "
            f"{TOKEN_LENGTH} (openssl rand -hex 32)"
        )
    return token


def load(environ: Mapping[str, str]) -> Settings:
    """Parse all settings. An empty variable counts as missing.

    Raises
    ------
    SettingsError
        Raised for the first setting that is missing or wrong.
    """

    def read(name: str, default: str, parse: Callable[[str], T], wanted: str) -> T:
        text = environ.get(name) or default
        try:
            return parse(text)
        except ValueError:
            problem = f"found {text!r}" if text else "missing"
            raise SettingsError(f"{name}: {problem}, wanted {wanted}") from None

    settings = Settings(
        storage=read("LABFILES_STORAGE", "/storage", parse_path, "the absolute path of the volume"),
        token_file=read("LABFILES_TOKEN_FILE", "", parse_path, "the absolute path of a file with the token"),
        host=environ.get("LABFILES_HOST") or "0.0.0.0",  # noqa: S104  (a NetworkPolicy limits the clients)
        port=read("LABFILES_PORT", "8080", number_parser(0, 65535), PORT),
        metrics_port=read("LABFILES_METRICS_PORT", "9465", number_parser(0, 65535), PORT),
        nfs=read("LABFILES_NFS", "true", parse_boolean, "true or false"),
        nfs_port=read("LABFILES_NFS_PORT", "2049", number_parser(1, 65535), "a port, 1 to 65535"),
        usage_seconds=read("LABFILES_USAGE_SECONDS", "21600", number_parser(1, 31 * 86400), "1 to 2678400 seconds"),
        usage_rate=read("LABFILES_USAGE_RATE", "1000", number_parser(1, 10**6), "1 to 1000000 files per second"),
    )
    read_token(settings.token_file)
    return settings


def parse_path(text: str) -> Path:
    """Return a text as a path. Raise a ValueError if the path is not absolute."""
    path = Path(text)
    if not path.is_absolute():
        raise ValueError("relative")
    return path


def parse_boolean(text: str) -> bool:
    """Parse `true` or `false`. Raise a ValueError for any other text."""
    if text not in {"true", "false"}:
        raise ValueError("neither")
    return text == "true"


def number_parser(least: int, most: int) -> Callable[[str], int]:
    """Return a function that parses a number. The function raises a ValueError if the number is outside the range."""

    def parse(text: str) -> int:
        if not least <= (value := int(text)) <= most:
            raise ValueError("out of range")
        return value

    return parse


def load_or_exit(environ: Mapping[str, str]) -> Settings:
    """Return all settings. If a setting is missing or wrong, print the error in one line and exit."""
    try:
        return load(environ)
    except SettingsError as error:
        sys.exit(f"labfiles: {error}")
