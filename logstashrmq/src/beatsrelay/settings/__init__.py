"""The settings of the relay. No other package reads the environment."""

from beatsrelay.settings.environment import load_settings, load_settings_or_exit
from beatsrelay.settings.errors import SettingsError
from beatsrelay.settings.model import Settings

__all__ = ["Settings", "SettingsError", "load_settings", "load_settings_or_exit"]
