"""The environment: the one place that reads it, for any kind of settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

SECRETS = {
    "JUPYTERHUB_CRYPT_KEY",
    "GITHUB_CLIENT_SECRET",
    "CONFIGPROXY_AUTH_TOKEN",
    "FILESERVER_TOKEN",
    "HUB_DATABASE_URL",
}
# Files that are read where nobody names another
FILES = {
    "LAB_PASSWD": "/etc/passwd",
    "LAB_GROUP": "/etc/group",
    "LAB_MENU": str(Path(__file__).parents[1] / "data/menu.toml"),
}
S = TypeVar("S", bound=BaseModel)


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it, what was found and what is wanted."""


class ShownError(ValueError):
    """What is wrong with a value, in words that are shown: there is no secret in them."""


def read_secret(environ: Mapping[str, str], name: str) -> str | None:
    """Read a secret from its variable, or from the file that `<NAME>_FILE` names."""
    text, file = environ.get(name), environ.get(f"{name}_FILE")
    if not file:
        return text
    if text:
        raise SettingsError(f"{name} and {name}_FILE are both set: wanted one of them")
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_FILE: cannot read {file}: {getattr(error, 'strerror', 'not text')}") from error


def load(environ: Mapping[str, str], model: type[S]) -> S:
    """Read all settings of one kind; an empty variable is one that is not set.

    Raises
    ------
    SettingsError
        The first one that is wrong.
    """
    names = [str(field.alias) for field in model.model_fields.values()]
    found = {name: read_secret(environ, name) if name in SECRETS else environ.get(name) for name in names}
    given: dict[str, Any] = {name: path for name, path in FILES.items() if name in names}
    given |= {name: text for name, text in found.items() if text}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name, why = str(first["loc"][0]), first.get("ctx", {}).get("error")
        more = f" ({why})" if isinstance(why, ShownError) else ""
        raise SettingsError(describe(model, name, given.get(name)) + more) from None
    except OSError as error:
        name = next(name for name in FILES if Path(given.get(name, "")) == Path(error.filename))
        raise SettingsError(f"{describe(model, name, error.filename)} ({error.strerror})") from None


def describe(model: type[BaseModel], name: str, found: str | None) -> str:
    """Say what is wrong with a setting, and of a secret not what it is."""
    wanted = next(field.description for field in model.model_fields.values() if field.alias == name)
    if found is None:
        return f"{name}: missing, wanted {wanted}"
    shown = f"{len(found)} characters" if name in SECRETS else repr(found)
    return f"{name}: found {shown}, wanted {wanted}"


def load_or_exit(environ: Mapping[str, str], model: type[S]) -> S:
    """Read all settings of one kind, or end the process with one line: JupyterHub would add a traceback."""
    try:
        return load(environ, model)
    except SettingsError as error:
        sys.exit(f"labhub: {error}")
