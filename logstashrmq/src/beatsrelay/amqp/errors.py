"""Errors of the broker and of pika, as messages of one line."""

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

# How pika formats a ChannelClosedByBroker or ConnectionClosedByBroker
CLOSED_BY_BROKER = re.compile(r"ClosedByBroker: \((\d+)\) '(.*)'$")


class BrokerError(Exception):
    """The broker cannot be used. The message is the reason, in one line."""


def format_amqp_error(error: BaseException) -> str:
    """Return the reason for an error of pika in one line, with the setting to check."""
    if isinstance(error, ProbableAuthenticationError):
        return "the login was refused: AMQP_USER and AMQP_PASSWORD are not a user and its password there"
    if isinstance(error, ProbableAccessDeniedError):
        return f"the virtual host was refused (AMQP_VHOST): {format_root_cause(error)}"
    return format_root_cause(error)


def format_root_cause(error: object) -> str:
    """Return the message of the error that pika has wrapped, in one line."""
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
    """Return the reason for an error of TLS or the network, or an empty string if it is unknown."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message} (AMQP_TLS_CA_FILE)"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason} (is it a TLS port?)"
    if not error.errno:
        return ""
    # asyncio changes the text of network errors. The resolver's numbers are negative.
    return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
