"""Parsers and checks of single settings. The caller converts their ValueErrors and OSErrors into SettingsErrors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json


def parse_hosts(text: str) -> tuple[str, ...]:
    """Parse a list of host names separated by commas.

    Raises
    ------
    ValueError
        Raised if the list is empty, or an entry is not a host name, for example a URL.
    """
    hosts = tuple(part.strip() for part in text.split(",") if part.strip())
    if not hosts or any("/" in host or "@" in host or " " in host for host in hosts):
        raise ValueError("not a list of host names")
    return hosts


def parse_fields(text: str) -> dict[str, Any]:
    """Parse a JSON object with at least one field.

    Raises
    ------
    ValueError
        Raised if the text is not a JSON object with a field, or contains a number that cannot be encoded again.
    """
    fields = from_json(text, allow_inf_nan=False)
    # A number such as 1e400 is parsed as infinity, which JSON cannot encode. The field would make each event invalid.
    from_json(to_json(fields), allow_inf_nan=False)
    if not isinstance(fields, dict) or not fields:
        raise ValueError("not a JSON object with fields")
    return fields


def check_readable(path: Path) -> Path:
    """Check that a file can be read, and return its path.

    Raises
    ------
    OSError
        Raised if the file cannot be read.
    """
    path.read_bytes()
    return path
