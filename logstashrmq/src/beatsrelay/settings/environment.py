"""The settings are read from environment variables, and from the file that the variable RELAY_SETTINGS_FILE names."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from beatsrelay.settings.combinations import check_combinations
from beatsrelay.settings.errors import SettingsError, format_invalid
from beatsrelay.settings.model import SECRETS, Settings, list_setting_names
from beatsrelay.shared.secret_files import SecretError, read_secret

FILE = "RELAY_SETTINGS_FILE"


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings. An empty variable counts as not set. A variable has precedence over the settings file.

    Raises
    ------
    SettingsError
        Raised if a setting is missing or invalid, or a file cannot be read. The message names the first setting with an
        error.
    """
    values = read_values(environ)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        # `from None` hides pydantic's error, whose message contains the value. The value can be a password.
        raise SettingsError(format_invalid(name, values.get(name))) from None
    except OSError as error:
        name = next(name for name, value in values.items() if value == error.filename)
        raise SettingsError(f"{format_invalid(name, error.filename)} ({error.strerror})") from error
    check_combinations(settings)
    return settings


def load_settings_or_exit(environ: Mapping[str, str]) -> Settings:
    """Return the settings. If a setting is missing or invalid, print the error as one line and exit."""
    try:
        return load_settings(environ)
    except SettingsError as error:
        sys.exit(f"beatsrelay: {error}")


def read_values(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the value of each setting that is not empty.

    If a file is named for a secret, the secret is read from the file.

    Raises
    ------
    SettingsError
        Raised if the settings file or the file of a secret cannot be read.
    """
    texts = read_settings_file(Path(environ[FILE])) if environ.get(FILE) else {}
    texts |= {name: environ[name] for name in list_setting_names() if environ.get(name)}
    try:
        secrets = {name: read_secret(texts, name) for name in SECRETS}
    except SecretError as error:
        raise SettingsError(str(error)) from error
    values = {str(field.alias): texts.get(str(field.alias)) for field in Settings.model_fields.values()} | secrets
    return {name: value for name, value in values.items() if value}


def read_settings_file(file: Path) -> dict[str, str]:
    """Return the settings in a file with lines NAME=value. Empty lines and lines that start with `#` are ignored.

    Raises
    ------
    SettingsError
        Raised if the file cannot be read, or a line does not set a known setting.
    """
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{FILE}: cannot read {file}: {getattr(error, 'strerror', 'not text')}") from error
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not name or name.startswith("#"):
            continue
        if not equals or name not in list_setting_names():
            raise SettingsError(f"{FILE}: found {name!r} in line {number} of {file}, wanted a setting: NAME=value")
        values[name] = value
    return values
