"""Secrets from the environment: from the variable `<NAME>`, or from the file that `<NAME>_FILE` names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class SecretError(Exception):
    """An error in reading a secret. The message names the variable and the file, and never contains the secret."""


def read_secret(environ: Mapping[str, str], name: str) -> str | None:
    """Return the value of a secret, or None if neither `<name>` nor `<name>_FILE` is set.

    Raises
    ------
    SecretError
        Raised if both variables are set, or if the file cannot be read as text.
    """
    value, file = environ.get(name), environ.get(f"{name}_FILE")
    if not file:
        return value or None
    if value:
        raise SecretError(f"{name} and {name}_FILE are both set: wanted one of them")
    return read_secret_file(Path(file), f"{name}_FILE")


def read_secret_file(file: Path, variable: str) -> str:
    """Return the text of a file, without white space at both ends.

    Parameters
    ----------
    variable
        Name of the setting that contains the path. Error messages start with it.

    Raises
    ------
    SecretError
        Raised if the file cannot be read as text.
    """
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(f"{variable}: cannot read {file}: {getattr(error, 'strerror', 'not text')}") from error
