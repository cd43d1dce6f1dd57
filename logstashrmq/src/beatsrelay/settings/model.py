"""The model of the settings.

A field's alias is an environment variable, and its description lists the accepted values.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from beatsrelay.lumberjack.limits import Limits
from beatsrelay.routing import Route, RoutingKeyTemplate, parse_route, parse_template
from beatsrelay.settings.validators import check_readable, parse_fields, parse_hosts

# Names of the secrets. A secret is in the variable `<NAME>`, or in a file that the variable `<NAME>_FILE` names.
SECRETS = {"AMQP_PASSWORD"}

Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=1024, le=1024**3)]
Name = Annotated[str, Field(min_length=1, max_length=127)]
ReadableFile = Annotated[Path, AfterValidator(check_readable)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseModel):
    """All settings of the relay. Durations are in seconds, sizes in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    beats_host: str = Field("0.0.0.0", alias="BEATS_HOST", description="an address of this machine")  # noqa: S104
    beats_port: Port = Field(5044, alias="BEATS_PORT", description="a port, 0 to 65535 (0: any free one)")
    beats_tls: bool = Field(True, alias="BEATS_TLS", description="true or false (false: plain TCP)")
    beats_cert: ReadableFile | None = Field(
        None, alias="BEATS_TLS_CERT_FILE", description="a readable PEM file: the relay's certificate chain"
    )
    beats_key: ReadableFile | None = Field(
        None, alias="BEATS_TLS_KEY_FILE", description="a readable PEM file: the key of BEATS_TLS_CERT_FILE"
    )
    beats_ca: ReadableFile | None = Field(
        None, alias="BEATS_TLS_CA_FILE", description="a readable PEM file: the authority of filebeat's certificates"
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
    handshake_seconds: Seconds = Field(
        10, alias="BEATS_HANDSHAKE_SECONDS", description="more than 0 and at most 86400 seconds"
    )
    stall_seconds: Seconds = Field(60, alias="BEATS_STALL_SECONDS", description="more than 0 and at most 86400 seconds")
    idle_seconds: Seconds = Field(900, alias="BEATS_IDLE_SECONDS", description="more than 0 and at most 86400 seconds")
    keepalive_seconds: Seconds = Field(
        5, alias="BEATS_KEEPALIVE_SECONDS", description="more than 0 and at most 86400 seconds"
    )

    amqp_hosts: Annotated[tuple[str, ...], BeforeValidator(parse_hosts)] = Field(
        alias="AMQP_HOST", description="the broker's host name, or several separated by commas, without a port"
    )
    amqp_port: Annotated[int, Field(ge=1, le=65535)] = Field(
        5671, alias="AMQP_PORT", description="a port, 1 to 65535 (5671 with TLS, 5672 without)"
    )
    amqp_vhost: Name = Field("/", alias="AMQP_VHOST", description="a virtual host")
    amqp_user: Name = Field(alias="AMQP_USER", description="the relay's user name at the broker")
    amqp_password: Annotated[SecretStr, Field(min_length=1)] = Field(
        alias="AMQP_PASSWORD", description="the password of AMQP_USER"
    )
    amqp_tls: bool = Field(True, alias="AMQP_TLS", description="true or false (false: plain TCP)")
    amqp_ca: ReadableFile | None = Field(
        None, alias="AMQP_TLS_CA_FILE", description="a readable PEM file: the authority of the broker's certificate"
    )
    amqp_cert: ReadableFile | None = Field(
        None, alias="AMQP_TLS_CERT_FILE", description="a readable PEM file: a client certificate for the broker"
    )
    amqp_key: ReadableFile | None = Field(
        None, alias="AMQP_TLS_KEY_FILE", description="a readable PEM file: the key of AMQP_TLS_CERT_FILE"
    )
    amqp_heartbeat: Annotated[int, Field(ge=1, le=600)] = Field(
        20, alias="AMQP_HEARTBEAT_SECONDS", description="1 to 600 seconds"
    )
    exchange: Name = Field(alias="AMQP_EXCHANGE", description="the exchange to publish to, 1 to 127 characters")
    routing_key: Annotated[RoutingKeyTemplate, BeforeValidator(parse_template)] = Field(
        parse_template("logs"),
        alias="AMQP_ROUTING_KEY",
        description="a routing key of up to 255 bytes; %{[name][name]} inserts a field of the event",
    )
    dead_letter: Annotated[Route, BeforeValidator(parse_route)] | None = Field(
        None, alias="AMQP_DEAD_LETTER", description="EXCHANGE/KEY, or /QUEUE"
    )
    unroutable: Literal["retry", "dead-letter"] = Field(
        "retry", alias="AMQP_UNROUTABLE", description="retry, or dead-letter (requires AMQP_DEAD_LETTER)"
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
        "shape", alias="RELAY_EVENT_CHECK", description="shape (UTF-8 text in braces) or json (parsed)"
    )
    fields: Annotated[dict[str, Any], BeforeValidator(parse_fields)] = Field(
        {}, alias="RELAY_FIELDS", description='a JSON object to add to each event, for example {"site": "summit"}'
    )
    max_in_flight: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        32768, alias="RELAY_MAX_IN_FLIGHT", description="1 to 10000000 events"
    )
    max_in_flight_bytes: Bytes = Field(
        64 * 1024**2, alias="RELAY_MAX_IN_FLIGHT_BYTES", description="1024 to 1073741824 bytes"
    )
    drain_seconds: Seconds = Field(20, alias="RELAY_DRAIN_SECONDS", description="more than 0 and at most 86400 seconds")
    metrics_host: str = Field("0.0.0.0", alias="METRICS_HOST", description="an address of this machine")  # noqa: S104
    metrics_port: Port = Field(9400, alias="METRICS_PORT", description="a port, 0 to 65535 (0: any free one)")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", alias="LOG_LEVEL", description="DEBUG, INFO, WARNING or ERROR"
    )

    @property
    def limits(self) -> Limits:
        """The limits on the windows, events and frames of a peer."""
        return Limits(self.max_window, self.max_event, self.max_frame, self.max_inflated)


def list_setting_names() -> list[str]:
    """Return the names of the environment variables of all settings."""
    names = [str(field.alias) for field in Settings.model_fields.values()]
    return names + [f"{name}_FILE" for name in SECRETS]
