"""The settings of the logs: RabbitMQ, the relay, filebeat. A site without RabbitMQ needs none of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from labadmin.configure.fields import SECRET, Host, Secret, Table, Text, optional, required

Short = Annotated[str, StringConstraints(min_length=1, max_length=127)]


def number_of_bytes(variable: str) -> Any:
    """Declare an optional size in bytes."""
    return optional("1024 to 1073741824 bytes", variable, ge=1024, le=1024**3)


def seconds(variable: str) -> Any:
    """Declare an optional time in seconds."""
    return optional("above 0, up to 86400 seconds", variable, gt=0, le=86400)


def check_route(text: str) -> str:
    """Check that a text is `EXCHANGE/KEY` or `/QUEUE`."""
    _, slash, key = text.partition("/")
    if not slash or not key:
        raise ValueError("neither EXCHANGE/KEY nor /QUEUE")
    return text


class Amqp(Table):
    """The settings of the connection to RabbitMQ, and of the routes of log events."""

    host: Annotated[list[Host], Field(min_length=1)] = required(
        "a list of at least one host name of a broker, without a port", "AMQP_HOST"
    )
    port: int | None = optional("a port, 1 to 65535", "AMQP_PORT", ge=1, le=65535)
    vhost: Short | None = optional("a virtual host, 1 to 127 characters", "AMQP_VHOST")
    user: Short = required("the RabbitMQ user, 1 to 127 characters", "AMQP_USER")
    password: Secret = required(f"the password of the user, as {SECRET}")
    tls: bool | None = optional("true or false", "AMQP_TLS")
    authority: Text | None = optional("the path of a PEM file with the CA certificates of the brokers")
    certificate: Text | None = optional("the path of a PEM file with the relay's client certificate")
    key: Secret | None = optional(f"the key of the certificate, PEM, as {SECRET}")
    heartbeat_seconds: int | None = optional("1 to 600 seconds", "AMQP_HEARTBEAT_SECONDS", ge=1, le=600)
    exchange: Short = required("the exchange to publish to, 1 to 127 characters", "AMQP_EXCHANGE")
    routing_key: Text | None = optional(
        "a routing key, in which %{[field][field]} is a field of the event", "AMQP_ROUTING_KEY"
    )
    unroutable: Literal["retry", "dead-letter"] | None = optional('"retry" or "dead-letter"', "AMQP_UNROUTABLE")
    dead_letter: Annotated[str, AfterValidator(check_route)] | None = optional(
        '"EXCHANGE/KEY" or "/QUEUE"', "AMQP_DEAD_LETTER"
    )
    declare: bool | None = optional("true or false", "AMQP_DECLARE")
    exchange_type: Literal["topic", "direct", "fanout"] | None = optional(
        '"topic", "direct" or "fanout"', "AMQP_EXCHANGE_TYPE"
    )
    queue: Short | None = optional("a queue to declare, 1 to 127 characters", "AMQP_QUEUE")
    queue_type: Literal["quorum", "classic", "stream"] | None = optional(
        '"quorum", "classic" or "stream"', "AMQP_QUEUE_TYPE"
    )


class Relay(Table):
    """The settings of the relay: addresses, limits and timeouts."""

    host: Text | None = optional("an IP address to listen on", "BEATS_HOST")
    verify: Literal["required", "optional", "none"] | None = optional(
        '"required", "optional" or "none"', "BEATS_TLS_VERIFY"
    )
    max_connections: int | None = optional("1 to 65536 connections", "BEATS_MAX_CONNECTIONS", ge=1, le=65536)
    max_window: int | None = optional("1 to 1000000 events", "BEATS_MAX_WINDOW", ge=1, le=1000000)
    max_event_bytes: int | None = number_of_bytes("BEATS_MAX_EVENT_BYTES")
    max_frame_bytes: int | None = number_of_bytes("BEATS_MAX_FRAME_BYTES")
    max_inflated_bytes: int | None = number_of_bytes("BEATS_MAX_INFLATED_BYTES")
    handshake_seconds: float | None = seconds("BEATS_HANDSHAKE_SECONDS")
    stall_seconds: float | None = seconds("BEATS_STALL_SECONDS")
    idle_seconds: float | None = seconds("BEATS_IDLE_SECONDS")
    keepalive_seconds: float | None = seconds("BEATS_KEEPALIVE_SECONDS")
    event_check: Literal["shape", "json"] | None = optional('"shape" or "json"', "RELAY_EVENT_CHECK")
    fields_: Annotated[dict[str, Any], Field(min_length=1)] | None = optional(
        'a table of fields to add to each event, for example { site = "summit" }', "RELAY_FIELDS", alias="fields"
    )
    max_in_flight: int | None = optional("1 to 10000000 events", "RELAY_MAX_IN_FLIGHT", ge=1, le=10000000)
    max_in_flight_bytes: int | None = number_of_bytes("RELAY_MAX_IN_FLIGHT_BYTES")
    drain_seconds: float | None = seconds("RELAY_DRAIN_SECONDS")
    metrics_host: Text | None = optional("an IP address to listen on", "METRICS_HOST")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = optional(
        '"DEBUG", "INFO", "WARNING" or "ERROR"', "LOG_LEVEL"
    )


class Logs(Table):
    """The settings of the logs: whether filebeat ships logs, from which namespaces, and to which broker."""

    enabled: bool | None = optional("true or false")
    withheld_from: Text | None = optional('the name of a namespace, or "none"', "OUTPUT_WITHHELD_FROM")
    amqp: Amqp | None = optional("the table [logs.amqp]")
    relay: Relay = Field(default_factory=Relay, description="the table [logs.relay]")
