"""Parser that builds the settings models from environment variables."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from labhub.shared.secret_files import SecretError, read_secret

SECRETS = {
    "JUPYTERHUB_CRYPT_KEY",
    "GITHUB_CLIENT_SECRET",
    "CONFIGPROXY_AUTH_TOKEN",
    "FILESERVER_TOKEN",
    "HUB_DATABASE_URL",
}
# Second names of environment variables. A site can set a variable under either name.
SECOND_NAMES = {"GITHUB_ORGANIZATION_WHITELIST": "GITHUB_ALLOWED_ORGANIZATIONS"}
# Default paths of the settings whose value is the path of a file
FILES = {
    "LAB_PASSWD": "/etc/passwd",
    "LAB_GROUP": "/etc/group",
    "LAB_MENU": str(Path(__file__).parents[1] / "data/menu.toml"),
}
AnyModel = TypeVar("AnyModel", bound=BaseModel)


class SettingsError(Exception):
    """Error for a missing or invalid setting. The message names the variable, the value and the expected value."""


class ShownError(ValueError):
    """Error for an invalid value. A `SettingsError` may quote the text of this error, which contains no secret."""


def read_variable(environ: Mapping[str, str], name: str) -> str | None:
    """Return the value of a variable under either of its names, or None if the variable is unset or empty.

    Raises
    ------
    SettingsError
        Raised if the variable is set under both names, or if the hub cannot read the file of a secret.
    """
    if name in SECRETS:
        try:
            return read_secret(environ, name)
        except SecretError as error:
            raise SettingsError(str(error)) from error
    value, second_name = environ.get(name) or None, SECOND_NAMES.get(name, "")
    second_value = environ.get(second_name) or None
    if value and second_value:
        raise SettingsError(f"{name} and {second_name} are both set: wanted one of them")
    return value or second_value


def load(environ: Mapping[str, str], model: type[AnyModel]) -> AnyModel:
    """Parse the settings of one model. An empty variable counts as unset.

    Raises
    ------
    SettingsError
        Raised for the first setting that is missing or invalid.
    """
    names = [str(field.alias) for field in model.model_fields.values()]
    values: dict[str, Any] = {name: path for name, path in FILES.items() if name in names}
    values |= {name: value for name in names if (value := read_variable(environ, name))}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name, reason = str(first["loc"][0]), first.get("ctx", {}).get("error")
        detail = f" ({reason})" if isinstance(reason, ShownError) else ""
        shown_name = _name_in_use(environ, name)
        raise SettingsError(describe_problem(model, name, values.get(name), shown_name) + detail) from None
    except OSError as error:
        name = next(name for name in FILES if Path(values.get(name, "")) == Path(error.filename))
        raise SettingsError(f"{describe_problem(model, name, error.filename)} ({error.strerror})") from None


def _name_in_use(environ: Mapping[str, str], name: str) -> str:
    """Return the name under which the environment contains a variable: the first or the second name."""
    second_name = SECOND_NAMES.get(name, "")
    return second_name if environ.get(second_name) else name


def describe_problem(model: type[BaseModel], name: str, value: str | None, shown_name: str = "") -> str:
    """Return an error message for a setting. For a secret, the message contains the length instead of the value."""
    wanted = next(field.description for field in model.model_fields.values() if field.alias == name)
    if value is None:
        return f"{shown_name or name}: missing, wanted {wanted}"
    shown = f"{len(value)} characters" if name in SECRETS else repr(value)
    return f"{shown_name or name}: found {shown}, wanted {wanted}"


def load_or_exit(environ: Mapping[str, str], model: type[AnyModel]) -> AnyModel:
    """Parse the settings of one model, or exit with one line on stderr.

    Without this exit, JupyterHub would print a traceback for an invalid setting.
    """
    try:
        return load(environ, model)
    except SettingsError as error:
        sys.exit(f"labhub: {error}")
