"""Connection parameters for pika: address, login and TLS of RabbitMQ."""

from __future__ import annotations

import ssl

import pika

from beatsrelay.settings import Settings

# Time limit in seconds for opening a session with the broker
OPEN_SECONDS = 20


def create_client_context(settings: Settings) -> ssl.SSLContext:
    """Return a TLS context that verifies the broker, with the current content of the certificate files.

    Raises
    ------
    OSError
        Raised if a file cannot be read, or is not a valid PEM file. `ssl.SSLError` is a subclass.
    """
    context = ssl.create_default_context(cafile=settings.amqp_ca)
    if settings.amqp_cert:
        context.load_cert_chain(settings.amqp_cert, settings.amqp_key)
    return context


def create_connection_parameters(settings: Settings, host: str) -> pika.ConnectionParameters:
    """Return pika's parameters for a connection to this host, which is one of the hosts in the settings.

    Raises
    ------
    OSError
        Raised if a certificate file cannot be read, or is not a valid PEM file.
    """
    options = pika.SSLOptions(create_client_context(settings), host) if settings.amqp_tls else None
    return pika.ConnectionParameters(
        host=host,
        port=settings.amqp_port,
        virtual_host=settings.amqp_vhost,
        credentials=pika.PlainCredentials(settings.amqp_user, settings.amqp_password.get_secret_value()),
        ssl_options=options,
        heartbeat=settings.amqp_heartbeat,
        connection_attempts=1,
        socket_timeout=OPEN_SECONDS,
        stack_timeout=OPEN_SECONDS,
        client_properties={"connection_name": "beatsrelay", "product": "beatsrelay"},
    )
