"""One connection to RabbitMQ with one channel in confirm mode: what pika does by callbacks, with futures."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import Callable
from typing import Any, TypeVar

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.adapters.utils.connection_workflow import AMQPConnectionWorkflowFailed, AMQPConnectorPhaseErrorBase
from pika.channel import Channel
from pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    ChannelClosed,
    ConnectionClosed,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    ShortStringTooLong,
)
from pika.spec import Basic

from beatsrelay.amqp import frames as wire
from beatsrelay.amqp.messages import Batch, number_of
from beatsrelay.settings import Settings

OPEN_SECONDS = 20
CLOSE_SECONDS = 2
CLOSED = re.compile(r"ClosedByBroker: \((\d+)\) '(.*)'$")
Answer = TypeVar("Answer")


class BrokerError(Exception):
    """The broker cannot be used; the message says why in one line."""


class Session:
    """An open channel that confirms, until it is lost.

    Attributes
    ----------
    lost
        Done when the channel or its connection is gone; holds the reason.
    on_confirm
        Called with a delivery tag, whether it means all up to it, and whether the broker took the messages.
    on_return
        Called with the number of a message that no queue took, before its confirm comes.
    on_blocked
        Called with whether the broker has asked to publish nothing.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._connection: AsyncioConnection | None = None
        self._channel: Channel | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self.ignore()

    def ignore(self) -> None:
        """Tell nobody what comes from here on."""
        self.on_confirm: Callable[[int, bool, bool], None] = lambda _tag, _multiple, _taken: None
        self.on_return: Callable[[int | None], None] = lambda _number: None
        self.on_blocked: Callable[[bool], None] = lambda _blocked: None

    async def open(self, host: str) -> None:
        """Connect, log in, open the channel, and see that the exchanges are there.

        Raises
        ------
        BrokerError
            It did not work.
        """
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._connect(host)
                await self._open_channel()
                await self._prepare()
        except TimeoutError as error:
            await self.close()
            raise BrokerError(f"{host}: no answer within {OPEN_SECONDS} s") from error
        except BrokerError as error:
            await self.close()
            raise BrokerError(f"{host}: {error}") from error
        except AMQPError as error:  # pika itself refuses to send something
            await self.close()
            raise BrokerError(f"{host}: {explain(error)}") from error
        except BaseException:
            await self.close()
            raise

    async def _connect(self, host: str) -> None:
        try:
            parameters = connection_parameters(self._settings, host)
        except (OSError, ssl.SSLError) as error:
            raise BrokerError(f"the TLS files for the broker are of no use: {error}") from error
        opened: asyncio.Future[AsyncioConnection] = self._loop.create_future()
        self._connection = AsyncioConnection(
            parameters,
            on_open_callback=lambda connection: finish(opened, connection),
            on_open_error_callback=lambda _, error: self._end(explain(error)),
            on_close_callback=lambda _, error: self._end(explain(error)),
            custom_ioloop=self._loop,
        )
        self._connection.add_on_connection_blocked_callback(lambda *_: self.on_blocked(True))
        self._connection.add_on_connection_unblocked_callback(lambda *_: self.on_blocked(False))
        await self._or_lost(opened)

    async def _open_channel(self) -> None:
        assert self._connection  # noqa: S101
        opened: asyncio.Future[Channel] = self._loop.create_future()
        channel = self._connection.channel(on_open_callback=lambda channel: finish(opened, channel))
        channel.add_on_close_callback(lambda _, error: self._lose(explain(error)))
        channel.add_on_return_callback(
            lambda _channel, _method, properties, _body: self.on_return(number_of(properties.message_id))
        )
        self._channel = await self._or_lost(opened)
        await self._call(channel.confirm_delivery, self._confirmed)

    async def _prepare(self) -> None:
        """Declare what is to be declared, and ask whether the rest is there."""
        assert self._channel  # noqa: S101
        channel, settings = self._channel, self._settings
        if settings.declare:
            await self._call(
                channel.exchange_declare, settings.exchange, exchange_type=settings.exchange_type, durable=True
            )
        else:
            await self._call(channel.exchange_declare, settings.exchange, passive=True)
        if settings.declare and settings.queue:
            kind = {"x-queue-type": settings.queue_type}
            await self._call(channel.queue_declare, settings.queue, durable=True, arguments=kind)
            key = settings.routing_key.pattern
            await self._call(channel.queue_bind, settings.queue, settings.exchange, routing_key=key)
        if settings.dead_letter and settings.dead_letter.exchange:
            await self._call(channel.exchange_declare, settings.dead_letter.exchange, passive=True)
        elif settings.dead_letter:
            await self._call(channel.queue_declare, settings.dead_letter.key, passive=True)

    async def _call(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Call a method of pika that answers by callback."""
        answered: asyncio.Future[object] = self._loop.create_future()
        method(*arguments, **options, callback=lambda frame: finish(answered, frame))
        await self._or_lost(answered)

    async def _or_lost(self, future: asyncio.Future[Answer]) -> Answer:
        either: list[asyncio.Future[Any]] = [future, self.lost]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self.lost.done():  # though there may be an answer, too: a broker that leaves may have given one just before
            raise BrokerError(self.lost.result())
        return future.result()

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        self.on_confirm(method.delivery_tag, method.multiple, isinstance(method, Basic.Ack))

    def _lose(self, reason: str) -> None:
        finish(self.lost, reason)

    def _end(self, reason: str) -> None:
        self._lose(reason)
        finish(self._gone, None)

    def publish(self, batch: Batch) -> None:
        """Publish a batch; nothing is sent if the channel is on its way out."""
        if self._channel and self._channel.is_open and not self.lost.done():
            wire.publish(self._channel, batch)

    @property
    def buffered(self) -> int:
        """Bytes that wait for the socket."""
        return wire.buffered(self._connection) if self._connection else 0

    async def close(self) -> None:
        """Take leave of the broker; a connection that does not end in time is cut."""
        connection = self._connection
        if connection is None:
            return
        with contextlib.suppress(AMQPConnectionError):
            connection.close()
        await asyncio.wait([self._gone], timeout=CLOSE_SECONDS)
        if not self._gone.done():
            wire.abort(connection)


def finish(future: asyncio.Future[Any], result: object) -> None:
    """Give a future its result, unless something was faster."""
    if not future.done():
        future.set_result(result)


def fail(future: asyncio.Future[Any], error: Exception) -> None:
    """Give a future an error, unless something was faster."""
    if not future.done():
        future.set_exception(error)


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Make what verifies the broker, and shows it our certificate if there is one; the files are read anew."""
    context = ssl.create_default_context(cafile=settings.amqp_ca)
    if settings.amqp_cert:
        context.load_cert_chain(settings.amqp_cert, settings.amqp_key)
    return context


def connection_parameters(settings: Settings, host: str) -> pika.ConnectionParameters:
    """Give what pika wants to know."""
    options = pika.SSLOptions(tls_context(settings), host) if settings.amqp_tls else None
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


def explain(error: BaseException) -> str:
    """Say in one line what pika means."""
    if isinstance(error, ProbableAuthenticationError):
        return "the login was refused: AMQP_USER and AMQP_PASSWORD are not a user and its password there"
    if isinstance(error, ProbableAccessDeniedError):
        return f"the virtual host was refused (AMQP_VHOST): {innermost(error)}"
    return innermost(error)


def innermost(error: object) -> str:
    """Dig the cause out of what pika has wrapped it in."""
    if isinstance(error, ConnectionClosed | ChannelClosed):
        return f"{error.reply_text} ({error.reply_code})"
    if isinstance(error, ShortStringTooLong):
        return f"found a name of {len(error.args[0])} bytes, wanted up to 255"
    if isinstance(error, AMQPConnectionWorkflowFailed):
        return innermost(error.exceptions[-1])
    if isinstance(error, AMQPConnectorPhaseErrorBase):
        return innermost(error.exception)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message} (AMQP_TLS_CA_FILE)"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason} (is it a TLS port?)"
    if isinstance(error, OSError) and error.errno:
        # asyncio words it its own way; the resolver's numbers are below 0.
        return os.strerror(error.errno) if error.errno > 0 else str(error.strerror)
    if isinstance(error, BaseException) and len(error.args) == 1:
        return innermost(error.args[0])
    if found := CLOSED.search(str(error)):  # pika has made text of it already
        return f"{found[2]} ({found[1]})"
    return " ".join(str(error).split()) or repr(error)
