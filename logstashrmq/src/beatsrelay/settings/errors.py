"""The error of a missing or invalid setting, and its message."""

from __future__ import annotations

from beatsrelay.settings.model import SECRETS, Settings


class SettingsError(Exception):
    """A missing or invalid setting. The message names the setting, its value, and the accepted values."""


def format_invalid(name: str, value: str | None) -> str:
    """Return the message for a missing or invalid setting. The value of a secret is not shown.

    Parameters
    ----------
    name
        Name of the setting, as an environment variable.
    value
        Value of the setting. None means that the setting is missing.
    """
    accepted = next(field.description for field in Settings.model_fields.values() if field.alias == name)
    if value is None:
        return f"{name}: missing, wanted {accepted}"
    shown = f"{len(value)} characters" if name in SECRETS else repr(value)
    return f"{name}: found {shown}, wanted {accepted}"
