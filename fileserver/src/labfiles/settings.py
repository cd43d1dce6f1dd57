"""What labfiles is told by the environment: the one place that reads it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

TOKEN_LENGTH = 16
T = TypeVar("T")


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it, what was found and what is wanted."""


@dataclass(frozen=True)
class Settings:
    """All settings.

    Attributes
    ----------
    storage
        The folder of the volume.
    token_file
        Read anew for each request: a Secret may change.
    host, port
        Where the API listens; port 0: any that is free.
    metrics_port
        For /metrics, /live and /ready.
    nfs
        Whether Ganesha runs beside it, and has metrics.
    nfs_port
        Of this machine, where Ganesha answers.
    usage_seconds
        How often the folders are measured.
    usage_rate
        Files looked at in a second while they are.
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
    """Read the token.

    Raises
    ------
    SettingsError
        There is none that could be guessed by nobody.
    """
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", "not text")
        raise SettingsError(f"LABFILES_TOKEN_FILE: cannot read {file}: {why}") from error
    if len(token) < TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(
            f"LABFILES_TOKEN_FILE: found {len(token)} characters in {file}, wanted a random secret of at least "
            f"{TOKEN_LENGTH} (openssl rand -hex 32)"
        )
    return token


def load(environ: Mapping[str, str]) -> Settings:
    """Read all settings; an empty variable is one that is not set.

    Raises
    ------
    SettingsError
        The first one that is wrong.
    """

    def take(name: str, default: str, read: Callable[[str], T], wanted: str) -> T:
        text = environ.get(name) or default
        try:
            return read(text)
        except ValueError:
            found = f"found {text!r}" if text else "missing"
            raise SettingsError(f"{name}: {found}, wanted {wanted}") from None

    port = "a port, 0 to 65535 (0: any free one)"
    settings = Settings(
        storage=take("LABFILES_STORAGE", "/storage", absolute_path, "an absolute path: the volume"),
        token_file=take("LABFILES_TOKEN_FILE", "", absolute_path, "an absolute path: a file with the hub's token"),
        host=environ.get("LABFILES_HOST") or "0.0.0.0",  # noqa: S104  (a NetworkPolicy says who comes in)
        port=take("LABFILES_PORT", "8080", number(0, 65535), port),
        metrics_port=take("LABFILES_METRICS_PORT", "9465", number(0, 65535), port),
        nfs=take("LABFILES_NFS", "true", truth, "true or false"),
        nfs_port=take("LABFILES_NFS_PORT", "2049", number(1, 65535), "a port, 1 to 65535"),
        usage_seconds=take("LABFILES_USAGE_SECONDS", "21600", number(1, 31 * 86400), "1 to 2678400 seconds"),
        usage_rate=take("LABFILES_USAGE_RATE", "1000", number(1, 10**6), "1 to 1000000 files a second"),
    )
    read_token(settings.token_file)
    return settings


def absolute_path(text: str) -> Path:
    """Read an absolute path."""
    path = Path(text)
    if not path.is_absolute():
        raise ValueError("relative")
    return path


def truth(text: str) -> bool:
    """Read `true` or `false`."""
    if text not in {"true", "false"}:
        raise ValueError("neither")
    return text == "true"


def number(least: int, most: int) -> Callable[[str], int]:
    """Give what reads a number between two."""

    def read(text: str) -> int:
        if not least <= (value := int(text)) <= most:
            raise ValueError("out of range")
        return value

    return read


def load_or_exit(environ: Mapping[str, str]) -> Settings:
    """Read all settings, or end the process with one line."""
    try:
        return load(environ)
    except SettingsError as error:
        sys.exit(f"labfiles: {error}")
