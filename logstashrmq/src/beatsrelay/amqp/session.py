"""A session: one connection to RabbitMQ with one channel in confirm mode.

Its methods await futures instead of pika's callbacks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import Channel
from pika.exceptions import AMQPConnectionError, AMQPError
from pika.spec import Basic

from beatsrelay.amqp.connection_parameters import OPEN_SECONDS, create_connection_parameters
from beatsrelay.amqp.errors import BrokerError, Loss, describe_loss, format_amqp_error
from beatsrelay.amqp.frames import BatchWriter, abort_connection, read_buffered_bytes
from beatsrelay.amqp.messages import Batch, parse_message_id
from beatsrelay.settings import Settings

# Time limit for closing a connection, in seconds. After this time the connection is aborted.
CLOSE_SECONDS = 2
Result = TypeVar("Result")


class Session:
    """A channel in confirm mode, from `open` until the broker or the network closes it.

    If the broker closes only the channel, and not the connection, `reopen_channel` replaces the channel.

    Attributes
    ----------
    lost
        Future that is done when the channel or its connection is closed. Its result is the reason.
    on_confirm
        Called with a delivery tag and two flags. The first flag is True if the answer is for all tags up to the
        delivery tag. The second is True for an ack, and False for a nack.
    on_return
        Called with the number of a message that the broker returned because no queue is bound for its route. The number
        is None for an unknown message. The broker's confirm of the message follows.
    on_blocked
        Called with True when the broker starts to block publishers, and with False when the block ends.
    """

    def __init__(self, settings: Settings, writer: BatchWriter) -> None:
        self._settings = settings
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._connection: AsyncioConnection | None = None
        self._channel: Channel | None = None
        self._connection_closed: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[Loss] = self._loop.create_future()
        self.remove_callbacks()

    def remove_callbacks(self) -> None:
        """Disconnect the callbacks, so that the owner receives no further events of this session."""
        self.on_confirm: Callable[[int, bool, bool], None] = lambda _tag, _multiple, _accepted: None
        self.on_return: Callable[[int | None], None] = lambda _number: None
        self.on_blocked: Callable[[bool], None] = lambda _blocked: None

    async def open(self, host: str, *, check_dead_letter: bool) -> None:
        """Connect, log in, open the channel, and check or declare the exchange and the queue.

        Parameters
        ----------
        check_dead_letter
            Whether to check that the dead-letter exchange or queue exists, too.

        Raises
        ------
        BrokerError
            Raised if one of the steps fails, or if all steps together take longer than 20 seconds.
        """
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._connect(host)
                await self._open_channel()
                await self._declare()
                if check_dead_letter:
                    await self._check_dead_letter()
        except TimeoutError as error:
            await self.close()
            raise BrokerError(f"{host}: no answer within {OPEN_SECONDS} s") from error
        except BrokerError as error:
            await self.close()
            raise BrokerError(f"{host}: {error}") from error
        except AMQPError as error:  # pika raises these errors for invalid values, for example a name that is too long
            await self.close()
            raise BrokerError(f"{host}: {format_amqp_error(error)}") from error
        except BaseException:
            await self.close()
            raise

    async def _connect(self, host: str) -> None:
        try:
            parameters = create_connection_parameters(self._settings, host)
        except OSError as error:
            raise BrokerError(f"cannot load the TLS files for the broker: {error}") from error
        opened: asyncio.Future[AsyncioConnection] = self._loop.create_future()
        self._connection = AsyncioConnection(
            parameters,
            on_open_callback=lambda connection: set_result_once(opened, connection),
            on_open_error_callback=lambda _, error: self._handle_connection_closed(error),
            on_close_callback=lambda _, error: self._handle_connection_closed(error),
            custom_ioloop=self._loop,
        )
        self._connection.add_on_connection_blocked_callback(lambda *_: self.on_blocked(True))
        self._connection.add_on_connection_unblocked_callback(lambda *_: self.on_blocked(False))
        await self._wait_unless_lost(opened)

    async def reopen_channel(self) -> None:
        """Open a new channel on the same connection, after the broker has closed the channel.

        Raises
        ------
        BrokerError
            Raised if the connection is closed, or if the broker does not answer within 20 seconds.
        """
        if self._connection_closed.done():
            raise BrokerError("the connection is closed")
        self.lost = self._loop.create_future()
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._open_channel()
        except TimeoutError as error:
            raise BrokerError(f"no answer within {OPEN_SECONDS} s") from error
        except AMQPError as error:
            raise BrokerError(format_amqp_error(error)) from error

    async def _open_channel(self) -> None:
        assert self._connection  # noqa: S101
        opened: asyncio.Future[Channel] = self._loop.create_future()
        channel = self._connection.channel(on_open_callback=lambda channel: set_result_once(opened, channel))
        channel.add_on_close_callback(lambda _, error: set_result_once(self.lost, describe_loss(error)))
        channel.add_on_return_callback(
            lambda _channel, _method, properties, _body: self.on_return(parse_message_id(properties.message_id))
        )
        self._channel = await self._wait_unless_lost(opened)
        await self._call(channel.confirm_delivery, self._handle_confirm)

    async def _declare(self) -> None:
        """Declare the exchange and the queue if the settings require the declaration.

        Otherwise check that the exchange exists.
        """
        assert self._channel  # noqa: S101
        channel, settings = self._channel, self._settings
        if settings.declare:
            await self._call(
                channel.exchange_declare, settings.exchange, exchange_type=settings.exchange_type, durable=True
            )
        else:
            await self._call(channel.exchange_declare, settings.exchange, passive=True)
        if settings.declare and settings.queue:
            arguments = {"x-queue-type": settings.queue_type}
            await self._call(channel.queue_declare, settings.queue, durable=True, arguments=arguments)
            key = settings.routing_key.binding_key
            await self._call(channel.queue_bind, settings.queue, settings.exchange, routing_key=key)

    async def _check_dead_letter(self) -> None:
        assert self._channel  # noqa: S101
        channel, dead_letter = self._channel, self._settings.dead_letter
        if dead_letter and dead_letter.exchange:
            await self._call(channel.exchange_declare, dead_letter.exchange, passive=True)
        elif dead_letter:
            await self._call(channel.queue_declare, dead_letter.key, passive=True)

    async def _call(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        """Call a method of pika that takes a callback, and wait for the broker's answer."""
        answered: asyncio.Future[object] = self._loop.create_future()
        method(*arguments, **options, callback=lambda frame: set_result_once(answered, frame))
        await self._wait_unless_lost(answered)

    async def _wait_unless_lost(self, future: asyncio.Future[Result]) -> Result:
        futures: list[asyncio.Future[Any]] = [future, self.lost]
        await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        # Check first whether the channel is lost. A broker that shuts down can answer this call and then close the
        # channel.
        if self.lost.done():
            raise BrokerError(self.lost.result().reason)
        return future.result()

    def _handle_confirm(self, frame: Any) -> None:
        method = frame.method
        self.on_confirm(method.delivery_tag, method.multiple, isinstance(method, Basic.Ack))

    def _handle_connection_closed(self, error: BaseException) -> None:
        set_result_once(self.lost, describe_loss(error))
        set_result_once(self._connection_closed, None)

    def publish(self, batch: Batch) -> None:
        """Publish a batch. If the channel is closed or closing, nothing is sent."""
        if self._channel and self._channel.is_open and not self.lost.done():
            self._writer.write(self._channel, batch)

    @property
    def buffered_bytes(self) -> int:
        """Number of bytes in pika's buffer, which the socket has not accepted yet."""
        return read_buffered_bytes(self._connection) if self._connection else 0

    async def close(self) -> None:
        """Close the connection. Abort the connection if the broker does not answer in time."""
        connection = self._connection
        if connection is None:
            return
        with contextlib.suppress(AMQPConnectionError):
            connection.close()
        await asyncio.wait([self._connection_closed], timeout=CLOSE_SECONDS)
        if not self._connection_closed.done():
            abort_connection(connection)


def set_result_once(future: asyncio.Future[Any], result: object) -> None:
    """Set the result of a future, unless it is already done."""
    if not future.done():
        future.set_result(result)
