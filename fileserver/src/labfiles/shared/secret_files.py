"""Functions that read a secret from an environment variable, or from the file that a second variable names.

For example, LAB_PASSWORD contains a password, or LAB_PASSWORD_FILE contains the path of a file with the password.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class SecretError(Exception):
    """A secret that cannot be read. The message names the variable or the file, and never contains the secret."""


def read_secret(environ: Mapping[str, str], name: str) -> str | None:
    """Return the secret in the variable `<name>`, or in the file that `<name>_FILE` names.

    If neither variable is set, return None.

    Raises
    ------
    SecretError
        Raised if `<name>` and `<name>_FILE` are both set, or if the file cannot be read as text.
    """
    value, file = environ.get(name), environ.get(f"{name}_FILE")
    if not file:
        return value or None
    if value:
        raise SecretError(f"{name} and {name}_FILE are both set: wanted one of them")
    return read_secret_file(Path(file), f"{name}_FILE")


def read_secret_file(file: Path, variable: str) -> str:
    """Return the text of a file without white space at its start and at its end.

    Parameters
    ----------
    file
        Path of the file.
    variable
        Name of the environment variable that contains the path. Error messages start with this name.

    Raises
    ------
    SecretError
        Raised if the file cannot be read as text.
    """
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretError(f"{variable}: cannot read {file}: {getattr(error, 'strerror', 'not text')}") from error
