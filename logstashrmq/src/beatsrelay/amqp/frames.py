"""Encoding of batches as AMQP frames, without pika's encoder.

Bypassed
    `Channel.basic_publish`. The frames of a batch are encoded here, and passed to `Connection._output_marshaled_frames`
    in blocks of 64 KiB.
Why
    pika creates three objects and encodes three frames for each message. Within a batch only the body, its size and the
    message id differ.
Measured gain
    The relay uses 5.2 us of CPU for an event, instead of 19.5 us (docs/dev/relay.md). To measure the gain, run
    `nox -s "bench(relay)"` with and without the option `--pika-encoder`.
Version guard
    If the installed version of pika is not in `TESTED_VERSIONS`, the relay publishes with `basic_publish`. The relay
    then logs one warning at its start.
Unnecessary when
    pika has a public method that publishes many messages with common properties. No upstream issue about such a method
    is known. https://github.com/pika/pika/pull/1676 makes pika's encoder faster. So measure the gain again before you
    add a version to `TESTED_VERSIONS`.

pika has no public method to read the size of its buffer, or to abort a connection. So `read_buffered_bytes` and
`abort_connection` use pika's private attribute `_transport`. Both functions check that the attribute exists.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator

from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import Channel
from pika.frame import Method
from pika.spec import Basic, BasicProperties

from beatsrelay.amqp.messages import MESSAGE_ID_SIZE, NUMBER_DIGITS, PROCESS_ID, Batch, format_message_id
from beatsrelay.shared.version_guard import find_untested_version

logger = logging.getLogger(__name__)

TESTED_VERSIONS = {"1.4.4"}
CONTENT_TYPE = "application/json"
PERSISTENT = 2
# TLS writes 16 KiB at a time, and pika copies the rest of a block after each write. So blocks larger than this cost
# more CPU time.
BLOCK_BYTES = 64 * 1024

# The frame layout of AMQP 0-9-1: https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, 4.2.3 and 4.2.6
HEADER_FRAME = 2
BODY_FRAME = 3
BASIC_CLASS = 60
FRAME_END = b"\xce"
BODY_START = struct.Struct(">BHI")  # frame type, channel, payload size
HEADER_START = struct.Struct(">BHIHH")  # frame type, channel, payload size, class id, weight
BODY_SIZE = struct.Struct(">Q")
FLAGS = (
    BasicProperties.FLAG_CONTENT_TYPE | BasicProperties.FLAG_DELIVERY_MODE | BasicProperties.FLAG_MESSAGE_ID
).to_bytes(2, "big")
# The first bytes of the encoded properties, which are the same in all messages: the flags, and all properties before
# the message id, whose number differs
PROPERTIES = b"".join(
    (
        FLAGS,
        bytes([len(CONTENT_TYPE)]) + CONTENT_TYPE.encode(),
        bytes([PERSISTENT]),
        bytes([MESSAGE_ID_SIZE]) + PROCESS_ID.encode() + b"-",
    )
)
HEADER_SIZE = HEADER_START.size - BODY_START.size + BODY_SIZE.size + len(PROPERTIES) + NUMBER_DIGITS


class BatchWriter:
    """A writer that publishes batches on a channel. All messages are mandatory and persistent.

    The constructor logs a warning if the installed version of pika was not tested.

    Attributes
    ----------
    bypasses_pika
        Whether this class encodes the batches that have no headers. If False, pika encodes all batches.
    """

    def __init__(self) -> None:
        warning = find_untested_version("pika", TESTED_VERSIONS, "publishing uses more CPU")
        if warning:
            logger.warning(warning)
        self.bypasses_pika = not warning

    def write(self, channel: Channel, batch: Batch) -> None:
        """Publish the messages of a batch, with this module's encoder if possible, and else through pika."""
        if self.bypasses_pika and batch.headers is None:
            body_max = channel.connection.params.frame_max - BODY_START.size - len(FRAME_END)
            for block in encode_blocks(batch, channel.channel_number, body_max):
                channel.connection._output_marshaled_frames([block])
        else:
            publish_with_pika(channel, batch)


def publish_with_pika(channel: Channel, batch: Batch) -> None:
    """Publish the messages of a batch through pika's public method `basic_publish`."""
    exchange, key = batch.route.exchange, batch.route.key
    for body, number in zip(batch.bodies, batch.numbers, strict=True):
        channel.basic_publish(exchange, key, body, create_properties(batch, number), mandatory=True)


def create_properties(batch: Batch, number: int) -> BasicProperties:
    """Return the AMQP properties of the message with this number in the batch."""
    return BasicProperties(
        content_type=CONTENT_TYPE,
        delivery_mode=PERSISTENT,
        message_id=format_message_id(number),
        headers=batch.headers,
    )


def encode_blocks(batch: Batch, channel: int, body_max: int) -> Iterator[bytes]:
    """Yield the encoded frames of a batch whose messages have no AMQP headers, in blocks of about `BLOCK_BYTES`.

    A block has at least one whole message.

    Parameters
    ----------
    channel
        Number of the channel.
    body_max
        Maximum payload of a frame in bytes. A larger body is split into several frames.
    """
    method = Method(channel, Basic.Publish(0, batch.route.exchange, batch.route.key, True)).marshal()
    start = method + HEADER_START.pack(HEADER_FRAME, channel, HEADER_SIZE, BASIC_CLASS, 0)
    # Encodes all bytes before the body of a message whose body fits into one frame
    pack = struct.Struct(f">{len(start)}sQ{len(PROPERTIES)}s{NUMBER_DIGITS}scBHI").pack
    parts: list[bytes] = []
    block_size = 0
    for body, number in zip(batch.bodies, batch.numbers, strict=True):
        size = len(body)
        digits = b"%0*x" % (NUMBER_DIGITS, number)
        if 0 < size <= body_max:
            parts += (pack(start, size, PROPERTIES, digits, FRAME_END, BODY_FRAME, channel, size), body, FRAME_END)
        else:
            parts += (start, BODY_SIZE.pack(size), PROPERTIES, digits, FRAME_END)
            parts += encode_body(body, channel, body_max)
        block_size += size
        if block_size > BLOCK_BYTES:
            yield b"".join(parts)
            parts.clear()
            block_size = 0
    if parts:
        yield b"".join(parts)


def encode_body(body: bytes, channel: int, body_max: int) -> Iterator[bytes]:
    """Yield the bytes of the frames that contain the body of a message, in several parts."""
    for offset in range(0, len(body), body_max):
        payload = body[offset : offset + body_max]
        yield from (BODY_START.pack(BODY_FRAME, channel, len(payload)), payload, FRAME_END)


def read_buffered_bytes(connection: AsyncioConnection) -> int:
    """Return the number of bytes in pika's buffer, which the socket has not accepted yet.

    Return 0 if the number is unknown.
    """
    transport = getattr(connection, "_transport", None)
    return int(transport.get_write_buffer_size()) if transport else 0


def abort_connection(connection: AsyncioConnection) -> None:
    """Close the connection's socket at once, without AMQP's closing handshake."""
    transport = getattr(connection, "_transport", None)
    if transport:
        transport.abort()
