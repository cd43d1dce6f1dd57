"""The settings of the relay. No other package reads the environment."""

from beatsrelay.settings.model import Settings, SettingsError, load, load_or_exit

__all__ = ["Settings", "SettingsError", "load", "load_or_exit"]
