"""Checks of settings that depend on each other."""

from __future__ import annotations

from beatsrelay.settings.errors import SettingsError, format_invalid
from beatsrelay.settings.model import Settings


def check_combinations(settings: Settings) -> None:
    """Check combinations of settings that are valid alone, but may contradict each other.

    Raises
    ------
    SettingsError
        Raised if a setting is missing that another setting requires, or if two settings contradict each other.
    """
    check_required(settings)
    if settings.queue and not settings.declare:
        raise SettingsError(f"AMQP_QUEUE: found {settings.queue!r}, wanted no queue unless AMQP_DECLARE is true")
    if settings.max_event > settings.max_in_flight_bytes:
        raise SettingsError(
            f"BEATS_MAX_EVENT_BYTES: found '{settings.max_event}', wanted at most RELAY_MAX_IN_FLIGHT_BYTES, "
            f"{settings.max_in_flight_bytes}"
        )
    if settings.max_frame < settings.max_event:
        raise SettingsError(
            f"BEATS_MAX_FRAME_BYTES: found '{settings.max_frame}', wanted at least BEATS_MAX_EVENT_BYTES, "
            f"{settings.max_event}"
        )


def check_required(settings: Settings) -> None:
    """Check that no setting is missing that another setting requires.

    Raises
    ------
    SettingsError
        Raised if a required setting is missing.
    """
    conditions: list[tuple[bool, str, object]] = [
        (settings.beats_tls, "BEATS_TLS_CERT_FILE", settings.beats_cert),
        (settings.beats_tls, "BEATS_TLS_KEY_FILE", settings.beats_key),
        (settings.beats_tls and settings.beats_verify != "none", "BEATS_TLS_CA_FILE", settings.beats_ca),
        (settings.amqp_key is not None, "AMQP_TLS_CERT_FILE", settings.amqp_cert),
        (settings.amqp_cert is not None, "AMQP_TLS_KEY_FILE", settings.amqp_key),
        (settings.unroutable == "dead-letter", "AMQP_DEAD_LETTER", settings.dead_letter),
    ]
    for required, name, value in conditions:
        if required and not value:
            raise SettingsError(format_invalid(name, None))
