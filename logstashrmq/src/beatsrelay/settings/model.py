"""What the relay is told by the environment, or by a file of the same names: the one place that reads them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_core import from_json, to_json

from beatsrelay.lumberjack.events import Limits
from beatsrelay.routing import Route, Template, parse_template

SECRETS = {"AMQP_PASSWORD"}
FILE = "RELAY_SETTINGS_FILE"


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it, what was found and what is wanted."""


def parse_hosts(text: str) -> tuple[str, ...]:
    """Read a list of host names."""
    hosts = tuple(part.strip() for part in text.split(",") if part.strip())
    if not hosts or any("/" in host or "@" in host or " " in host for host in hosts):
        raise ValueError("not such a list")
    return hosts


def parse_route(text: str) -> Route:
    """Read `exchange/key`; without an exchange the key is a queue's name."""
    exchange, slash, key = text.partition("/")
    if not slash or not key or max(len(exchange.encode()), len(key.encode())) > 255:
        raise ValueError("not such a route")
    return Route(exchange, key)


def parse_fields(text: str) -> dict[str, Any]:
    """Read a JSON object with at least one member."""
    fields = from_json(text, allow_inf_nan=False)
    from_json(to_json(fields), allow_inf_nan=False)  # 1e400 is read, as infinite, and would spoil each event
    if not isinstance(fields, dict) or not fields:
        raise ValueError("not an object")
    return fields


def check_file(path: Path) -> Path:
    """Take a file that can be read."""
    path.read_bytes()
    return path


Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=1024, le=1024**3)]
Name = Annotated[str, Field(min_length=1, max_length=127)]
ReadableFile = Annotated[Path, AfterValidator(check_file)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseModel):
    """All settings; the alias is the variable, the description what is wanted there."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    beats_host: str = Field("0.0.0.0", alias="BEATS_HOST", description="an address of this machine")  # noqa: S104
    beats_port: Port = Field(5044, alias="BEATS_PORT", description="a port, 0 to 65535 (0: any free one)")
    beats_tls: bool = Field(True, alias="BEATS_TLS", description="true or false (false: plain TCP)")
    beats_cert: ReadableFile | None = Field(
        None, alias="BEATS_TLS_CERT_FILE", description="a file that can be read: the relay's certificate chain, PEM"
    )
    beats_key: ReadableFile | None = Field(
        None, alias="BEATS_TLS_KEY_FILE", description="a file that can be read: the key of that certificate, PEM"
    )
    beats_ca: ReadableFile | None = Field(
        None, alias="BEATS_TLS_CA_FILE", description="a file that can be read: who signs the peers' certificates, PEM"
    )
    beats_verify: Literal["required", "optional", "none"] = Field(
        "required", alias="BEATS_TLS_VERIFY", description="required, optional or none"
    )
    max_connections: Annotated[int, Field(ge=1, le=65536)] = Field(
        200, alias="BEATS_MAX_CONNECTIONS", description="1 to 65536 connections"
    )
    max_window: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        10_000, alias="BEATS_MAX_WINDOW", description="1 to 1000000 events in a window"
    )
    max_event: Bytes = Field(1024**2, alias="BEATS_MAX_EVENT_BYTES", description="1024 to 1073741824 bytes")
    max_frame: Bytes = Field(64 * 1024**2, alias="BEATS_MAX_FRAME_BYTES", description="1024 to 1073741824 bytes")
    max_inflated: Bytes = Field(256 * 1024**2, alias="BEATS_MAX_INFLATED_BYTES", description="1024 to 1073741824 bytes")
    handshake_seconds: Seconds = Field(10, alias="BEATS_HANDSHAKE_SECONDS", description="up to 86400 seconds")
    stall_seconds: Seconds = Field(60, alias="BEATS_STALL_SECONDS", description="up to 86400 seconds")
    idle_seconds: Seconds = Field(900, alias="BEATS_IDLE_SECONDS", description="up to 86400 seconds")
    keepalive_seconds: Seconds = Field(5, alias="BEATS_KEEPALIVE_SECONDS", description="up to 86400 seconds")

    amqp_hosts: Annotated[tuple[str, ...], BeforeValidator(parse_hosts)] = Field(
        alias="AMQP_HOST", description="the broker's host name, or several separated by commas, without a port"
    )
    amqp_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        5671, alias="AMQP_PORT", description="a port, 1 to 65535 (5671 with TLS, 5672 without)"
    )
    amqp_vhost: Name = Field("/", alias="AMQP_VHOST", description="a virtual host")
    amqp_user: Name = Field(alias="AMQP_USER", description="the user to log in as")
    amqp_password: Annotated[SecretStr, Field(min_length=1)] = Field(
        alias="AMQP_PASSWORD", description="the password of that user"
    )
    amqp_tls: bool = Field(True, alias="AMQP_TLS", description="true or false (false: plain TCP)")
    amqp_ca: ReadableFile | None = Field(
        None, alias="AMQP_TLS_CA_FILE", description="a file that can be read: who signs the broker's certificate, PEM"
    )
    amqp_cert: ReadableFile | None = Field(
        None, alias="AMQP_TLS_CERT_FILE", description="a file that can be read: a certificate to show the broker, PEM"
    )
    amqp_key: ReadableFile | None = Field(
        None, alias="AMQP_TLS_KEY_FILE", description="a file that can be read: the key of that certificate, PEM"
    )
    amqp_heartbeat: Annotated[int, Field(ge=1, le=600)] = Field(
        20, alias="AMQP_HEARTBEAT_SECONDS", description="1 to 600 seconds"
    )
    exchange: Name = Field(alias="AMQP_EXCHANGE", description="the exchange to publish to, 1 to 127 characters")
    routing_key: Annotated[Template, BeforeValidator(parse_template)] = Field(
        parse_template("logs"),
        alias="AMQP_ROUTING_KEY",
        description="a routing key of up to 255 bytes, with %{[field][field]} for what differs from event to event",
    )
    dead_letter: Annotated[Route, BeforeValidator(parse_route)] | None = Field(
        None, alias="AMQP_DEAD_LETTER", description="EXCHANGE/KEY, or /QUEUE"
    )
    unroutable: Literal["retry", "dead-letter"] = Field(
        "retry", alias="AMQP_UNROUTABLE", description="retry, or dead-letter (which needs AMQP_DEAD_LETTER)"
    )
    declare: bool = Field(False, alias="AMQP_DECLARE", description="true or false")
    exchange_type: Literal["topic", "direct", "fanout"] = Field(
        "topic", alias="AMQP_EXCHANGE_TYPE", description="topic, direct or fanout"
    )
    queue: Name | None = Field(None, alias="AMQP_QUEUE", description="a queue to declare, 1 to 127 characters")
    queue_type: Literal["quorum", "classic", "stream"] = Field(
        "quorum", alias="AMQP_QUEUE_TYPE", description="quorum, classic or stream"
    )

    event_check: Literal["shape", "json"] = Field(
        "shape", alias="RELAY_EVENT_CHECK", description="shape (UTF-8 within braces) or json (parsed)"
    )
    fields: Annotated[dict[str, Any], BeforeValidator(parse_fields)] = Field(
        {}, alias="RELAY_FIELDS", description='a JSON object to add to each event, as in {"site": "summit"}'
    )
    max_in_flight: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        32768, alias="RELAY_MAX_IN_FLIGHT", description="1 to 10000000 events"
    )
    max_in_flight_bytes: Bytes = Field(
        64 * 1024**2, alias="RELAY_MAX_IN_FLIGHT_BYTES", description="1024 to 1073741824 bytes"
    )
    drain_seconds: Seconds = Field(20, alias="RELAY_DRAIN_SECONDS", description="up to 86400 seconds")
    metrics_host: str = Field("0.0.0.0", alias="METRICS_HOST", description="an address of this machine")  # noqa: S104
    metrics_port: Port = Field(9400, alias="METRICS_PORT", description="a port, 0 to 65535 (0: any free one)")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", alias="LOG_LEVEL", description="DEBUG, INFO, WARNING or ERROR"
    )

    @property
    def limits(self) -> Limits:
        """What a peer may send."""
        return Limits(self.max_window, self.max_event, self.max_frame, self.max_inflated)


def read_file(path: str) -> dict[str, str]:
    """Read a file of NAME=value lines; blank ones and those that begin with # say nothing."""
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{FILE}: cannot read {path}: {getattr(error, 'strerror', 'not text')}") from error
    given = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not name or name.startswith("#"):
            continue
        if not equals or name not in known():
            raise SettingsError(f"{FILE}: found {name!r} in line {number} of {path}, wanted a setting: NAME=value")
        given[name] = value
    return given


def known() -> list[str]:
    """List the names of all settings."""
    names = [str(field.alias) for field in Settings.model_fields.values()]
    return names + [f"{name}_FILE" for name in SECRETS]


def read_secret(given: Mapping[str, str], name: str) -> str | None:
    """Read a secret from its variable, or from the file that `<NAME>_FILE` names."""
    text, file = given.get(name), given.get(f"{name}_FILE")
    if not file:
        return text
    if text:
        raise SettingsError(f"{name} and {name}_FILE are both set: wanted one of them")
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_FILE: cannot read {file}: {getattr(error, 'strerror', 'not text')}") from error


def load(environ: Mapping[str, str]) -> Settings:
    """Read all settings; an empty variable is one that is not set, and a set one goes before the file's.

    Raises
    ------
    SettingsError
        The first one that is wrong.
    """
    given = read_file(environ[FILE]) if environ.get(FILE) else {}
    given |= {name: environ[name] for name in known() if environ.get(name)}
    found = {str(field.alias): given.get(str(field.alias)) for field in Settings.model_fields.values()}
    found |= {name: read_secret(given, name) for name in SECRETS}
    found = {name: text for name, text in found.items() if text}
    try:
        settings = Settings.model_validate(found)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0])
        raise SettingsError(describe(name, found.get(name))) from None
    except OSError as error:
        name = next(name for name, text in found.items() if text == error.filename)
        raise SettingsError(f"{describe(name, error.filename)} ({error.strerror})") from None
    check_together(settings)
    return settings


def check_together(settings: Settings) -> None:
    """Refuse settings that are fine one by one and not together."""
    needed: list[tuple[bool, str, object]] = [
        (settings.beats_tls, "BEATS_TLS_CERT_FILE", settings.beats_cert),
        (settings.beats_tls, "BEATS_TLS_KEY_FILE", settings.beats_key),
        (settings.beats_tls and settings.beats_verify != "none", "BEATS_TLS_CA_FILE", settings.beats_ca),
        (settings.amqp_key is not None, "AMQP_TLS_CERT_FILE", settings.amqp_cert),
        (settings.amqp_cert is not None, "AMQP_TLS_KEY_FILE", settings.amqp_key),
        (settings.unroutable == "dead-letter", "AMQP_DEAD_LETTER", settings.dead_letter),
    ]
    for wanted, name, found in needed:
        if wanted and not found:
            raise SettingsError(describe(name, None))
    if settings.queue and not settings.declare:
        raise SettingsError("AMQP_QUEUE: found a queue, wanted none unless AMQP_DECLARE is true")
    if settings.max_event > settings.max_in_flight_bytes:
        raise SettingsError(
            f"BEATS_MAX_EVENT_BYTES: found '{settings.max_event}', wanted no more than RELAY_MAX_IN_FLIGHT_BYTES, "
            f"{settings.max_in_flight_bytes}"
        )
    if settings.max_frame < settings.max_event:
        raise SettingsError(
            f"BEATS_MAX_FRAME_BYTES: found '{settings.max_frame}', wanted no less than BEATS_MAX_EVENT_BYTES, "
            f"{settings.max_event}"
        )


def describe(name: str, found: str | None) -> str:
    """Say what is wrong with a setting, and of a secret not what it is."""
    wanted = next(field.description for field in Settings.model_fields.values() if field.alias == name)
    if found is None:
        return f"{name}: missing, wanted {wanted}"
    shown = f"{len(found)} characters" if name in SECRETS else repr(found)
    return f"{name}: found {shown}, wanted {wanted}"


def load_or_exit(environ: Mapping[str, str]) -> Settings:
    """Read all settings, or end the process with one line."""
    try:
        return load(environ)
    except SettingsError as error:
        sys.exit(f"beatsrelay: {error}")
