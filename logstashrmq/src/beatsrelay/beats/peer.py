"""One connection of a Beat.

The relay reads with time limits, and closes the connection without losing an acknowledgement.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from beatsrelay.lumberjack import frames
from beatsrelay.lumberjack.connection import NEED_DATA, Chunk, NeedData, ServerConnection
from beatsrelay.settings import Settings

READ_BYTES = 64 * 1024
# Limits on the data that the relay reads while it closes a connection. If a socket is closed while data is unread, the
# kernel resets the connection. A reset discards acknowledgements that the peer has not received yet.
LINGER_SECONDS = 2
LINGER_BYTES = 16 * 1024 * 1024


class PeerError(Exception):
    """A peer that is too slow, or that has ended the connection inside a window. The relay closes the connection.

    Attributes
    ----------
    reason
        Short name of the error: the label of a metric.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Peer:
    """One open connection of a Beat, with methods to read events, send acknowledgements and close the connection."""

    def __init__(self, settings: Settings, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._settings = settings
        self._reader = reader
        self._writer = writer
        self._connection = ServerConnection(settings.limits)
        self._window_read_seconds = 0.0
        self._read_timeout: asyncio.Timeout | None = None
        self._wait_timeout: asyncio.Timeout | None = None
        self._closed = asyncio.ensure_future(self._wait_closed())
        self._closed.add_done_callback(self._end_wait)
        self._stopping = False

    async def read_chunks(self, wait_for_capacity: Callable[[], Awaitable[None]]) -> AsyncIterator[Chunk]:
        """Yield chunks of received events, until the peer ends the connection or `stop_reading` takes effect.

        Parameters
        ----------
        wait_for_capacity
            Function that waits for capacity. It is awaited before each chunk is inflated and parsed.

        Raises
        ------
        ProtocolError
            Raised if the peer violates the Lumberjack protocol.
        PeerError
            Raised if the peer is too slow, or ends the connection inside a window.
        """
        chunk: Chunk | NeedData = NEED_DATA
        while not self._closed.done():
            if chunk is NEED_DATA:
                if self._stopping and not self._connection.in_window:
                    return
                if not (data := await self._read()):
                    if self._connection.in_message and not self._stopping:
                        raise PeerError("ended_early", "the peer ended the connection inside a window")
                    return
                self._connection.receive_data(data)
            if not self._connection.idle and not await self.wait_while_connected(wait_for_capacity()):
                return
            chunk = self._connection.next_event()
            if chunk is not NEED_DATA:
                if chunk.last:
                    self._window_read_seconds = 0
                yield chunk
                if chunk.last and self._stopping:
                    return
                await asyncio.sleep(0)  # let other connections run

    async def _read(self) -> bytes:
        """Return data from the peer.

        Empty bytes mean that reading ends: end of the stream, an idle peer, or a network error.

        The limit applies to the total time for a window, so a peer cannot extend the time by sending a few bytes at a
        time.
        """
        in_message = self._connection.in_message
        settings = self._settings
        limit = settings.stall_seconds - self._window_read_seconds if in_message else settings.idle_seconds
        start = time.monotonic()
        try:
            async with asyncio.timeout(limit) as self._read_timeout:
                await self._writer.drain()
                return await self._reader.read(READ_BYTES)
        except TimeoutError:
            if in_message and not self._stopping:
                raise PeerError("too_slow", "the peer did not complete a window in time") from None
            return b""
        except OSError:
            return b""
        finally:
            self._read_timeout = None
            if in_message:
                self._window_read_seconds += time.monotonic() - start

    def stop_reading(self) -> None:
        """Let `read_chunks` read the current window to its end, and then stop."""
        self._stopping = True
        if self._read_timeout and not self._connection.in_window:
            self._read_timeout.reschedule(0)

    def acknowledge(self, sequence: int) -> None:
        """Send an acknowledgement. Do not send a keep-alive (0) while earlier data is still in the send buffer."""
        if self._writer.is_closing() or (sequence == 0 and self._has_unsent_data):
            return
        self._writer.write(frames.encode_ack(sequence))

    @property
    def _has_unsent_data(self) -> bool:
        return bool(self._writer.transport.get_write_buffer_size())

    async def _wait_closed(self) -> None:
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def _end_wait(self, _: object) -> None:
        if self._wait_timeout:
            self._wait_timeout.reschedule(0)

    async def wait_while_connected(self, awaitable: Awaitable[None]) -> bool:
        """Wait until an awaitable is done or the connection is closed.

        Returns
        -------
        bool
            Whether the awaitable is done. If the connection was closed first, the awaitable is cancelled.
        """
        try:
            async with asyncio.timeout(0 if self._closed.done() else None) as self._wait_timeout:
                await awaitable
        except TimeoutError:
            return False
        finally:
            self._wait_timeout = None
        return True

    async def close(self) -> None:
        """Close the connection without losing an acknowledgement.

        Send the last acknowledgement, end the relay's side, wait until the peer ends its side, and close the socket.
        """
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                # With a limit of 0, a TLS transport of asyncio would treat its empty buffer as full.
                self._writer.transport.set_write_buffer_limits(1)
                await self._writer.drain()
                self._writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
                allowance = LINGER_BYTES
                while allowance > 0 and (data := await self._reader.read(READ_BYTES)):
                    allowance -= len(data)
        self._writer.transport.abort()
        await self._closed
