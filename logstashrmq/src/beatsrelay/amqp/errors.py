"""Errors of the broker and of pika, formatted as one line."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass

from pika.adapters.utils.connection_workflow import AMQPConnectionWorkflowFailed, AMQPConnectorPhaseErrorBase
from pika.exceptions import (
    ChannelClosed,
    ChannelClosedByBroker,
    ConnectionClosed,
    ConnectionClosedByBroker,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    ShortStringTooLong,
)

# Matches pika's text for a ChannelClosedByBroker or a ConnectionClosedByBroker
CLOSED_BY_BROKER = re.compile(r"ClosedByBroker: \((\d+)\) '(.*)'$")
# A message can cause the broker to close the connection with these reply codes. The codes mean errors of frames,
# methods and resources; 541 is an error inside the broker. Other codes have other causes: 320 (the broker shuts down),
# 402 and 530 (the virtual host).
# https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, 1.3
CONNECTION_CODES = {501, 502, 503, 504, 505, 506, 540, 541}


class BrokerError(Exception):
    """A failed operation on the broker. The text of the exception is the reason, as one line."""


@dataclass(frozen=True)
class Reply:
    """The reply with which the broker closes a channel or a connection because of a message.

    Attributes
    ----------
    code
        Reply code of AMQP 0-9-1, for example 403.
    text
        The broker's text, up to 255 bytes.
    """

    code: int
    text: str


@dataclass(frozen=True)
class Loss:
    """The end of a channel.

    Attributes
    ----------
    reason
        The reason as one line.
    reply
        The broker's reply, if a message caused the end of the channel. Otherwise None.
    connection_open
        Whether the connection is still open, so that the relay can open a new channel on the connection.
    """

    reason: str
    reply: Reply | None
    connection_open: bool


def describe_loss(error: BaseException) -> Loss:
    """Return a description of the end of a channel, from the error that pika reports."""
    reply = None
    if isinstance(error, ChannelClosedByBroker) or (
        isinstance(error, ConnectionClosedByBroker) and error.reply_code in CONNECTION_CODES
    ):
        reply = Reply(error.reply_code, error.reply_text)
    return Loss(format_amqp_error(error), reply, isinstance(error, ChannelClosed))


def format_amqp_error(error: BaseException) -> str:
    """Return one line with the reason for pika's error, and the setting that the administrator should check."""
    if isinstance(error, ProbableAuthenticationError):
        return "the broker refused the login: check AMQP_USER and AMQP_PASSWORD"
    if isinstance(error, ProbableAccessDeniedError):
        return f"the broker refused the virtual host (AMQP_VHOST): {format_root_cause(error)}"
    return format_root_cause(error)


def format_root_cause(error: object) -> str:
    """Return one line with the message of the original error that pika has wrapped into another error."""
    if isinstance(error, ConnectionClosed | ChannelClosed):
        return f"{error.reply_text} ({error.reply_code})"
    if isinstance(error, ShortStringTooLong):
        return f"found a name of {len(error.args[0])} bytes, wanted up to 255"
    if isinstance(error, AMQPConnectionWorkflowFailed):
        return format_root_cause(error.exceptions[-1])
    if isinstance(error, AMQPConnectorPhaseErrorBase):
        return format_root_cause(error.exception)
    if isinstance(error, OSError) and (message := format_os_error(error)):
        return message
    if isinstance(error, BaseException) and len(error.args) == 1:
        return format_root_cause(error.args[0])
    if match := CLOSED_BY_BROKER.search(str(error)):
        return f"{match[2]} ({match[1]})"
    return " ".join(str(error).split()) or repr(error)


def format_os_error(error: OSError) -> str:
    """Return the reason for an error of TLS or of the network, or an empty string if the reason is unknown."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is not trusted: {error.verify_message} (AMQP_TLS_CA_FILE)"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason} (is AMQP_PORT a TLS port?)"
    if not error.errno:
        return ""
    # asyncio replaces the text of network errors, so use the standard text of the error number. Errors of the resolver
    # have negative numbers without a standard text, so keep their text.
    return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
