"""Errors of the broker and of pika, formatted as one line."""

from __future__ import annotations

import os
import re
import ssl

from pika.adapters.utils.connection_workflow import AMQPConnectionWorkflowFailed, AMQPConnectorPhaseErrorBase
from pika.exceptions import (
    ChannelClosed,
    ConnectionClosed,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    ShortStringTooLong,
)

# pika's text for a ChannelClosedByBroker or a ConnectionClosedByBroker
CLOSED_BY_BROKER = re.compile(r"ClosedByBroker: \((\d+)\) '(.*)'$")


class BrokerError(Exception):
    """A failed operation on the broker. The message is the reason, as one line."""


def format_amqp_error(error: BaseException) -> str:
    """Return the reason for an error of pika as one line, with the setting to check."""
    if isinstance(error, ProbableAuthenticationError):
        return "the broker refused the login: check AMQP_USER and AMQP_PASSWORD"
    if isinstance(error, ProbableAccessDeniedError):
        return f"the broker refused the virtual host (AMQP_VHOST): {format_root_cause(error)}"
    return format_root_cause(error)


def format_root_cause(error: object) -> str:
    """Return the message of the error that pika has wrapped, as one line."""
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
    # asyncio replaces the text of network errors, so look the text up. The resolver's error numbers are negative.
    return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
