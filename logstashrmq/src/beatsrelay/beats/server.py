"""The sockets of Beats: accepting, TLS, time limits, and taking leave without losing an acknowledgement."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from beatsrelay.lumberjack import frames
from beatsrelay.lumberjack.connection import NEED_DATA, Chunk, NeedData, ServerConnection
from beatsrelay.lumberjack.frames import ProtocolError
from beatsrelay.metrics import Metrics
from beatsrelay.settings import Settings
from beatsrelay.beats.tls import Certificates

logger = logging.getLogger(__name__)

READ = 64 * 1024
SEND_BUFFER = 32 * 1024
# How long, and for how much, a peer that we leave is listened to: closing a socket with something unread resets the
# connection, and a reset destroys acknowledgements on their way.
LINGER_SECONDS = 2
LINGER_BYTES = 16 * 1024 * 1024


class PeerError(Exception):
    """The peer did what ends its connection.

    Attributes
    ----------
    reason
        One of a few short names, for a metric.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Peer:
    """One connection, as `Server` makes it."""

    def __init__(self, settings: Settings, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._settings = settings
        self._reader = reader
        self._writer = writer
        self._connection = ServerConnection(settings.limits)
        self._waited = 0.0
        self._reading: asyncio.Timeout | None = None
        self._waiting: asyncio.Timeout | None = None
        self._gone = asyncio.ensure_future(self._wait_until_gone())
        self._gone.add_done_callback(self._stop_waiting)
        self._leaving = False

    async def chunks(self, room: Callable[[], Awaitable[None]]) -> AsyncIterator[Chunk]:
        """Give the events as they come, until the peer ends its side or is to be left.

        Parameters
        ----------
        room
            Waits until there is room for a chunk; nothing is inflated before.

        Raises
        ------
        ProtocolError
            What it sends is no Lumberjack.
        PeerError
            It is too slow, or goes in the middle of something.
        """
        chunk: Chunk | NeedData = NEED_DATA
        while not self._gone.done():
            if chunk is NEED_DATA:
                if self._leaving and not self._connection.in_window:
                    return
                if not (data := await self._read()):
                    if self._connection.in_message and not self._leaving:
                        raise PeerError("ended_early", "it ended within a window")
                    return
                self._connection.receive_data(data)
            if not self._connection.idle and not await self.unless_gone(room()):
                return
            chunk = self._connection.next_event()
            if chunk is not NEED_DATA:
                if chunk.last:
                    self._waited = 0
                yield chunk
                if chunk.last and self._leaving:
                    return
                await asyncio.sleep(0)  # the turn of the others

    async def _read(self) -> bytes:
        """Read, within the time left: a peer that owes something does not get more of it by sending a little."""
        owes = self._connection.in_message
        limit = self._settings.stall_seconds - self._waited if owes else self._settings.idle_seconds
        start = time.monotonic()
        try:
            async with asyncio.timeout(limit) as self._reading:
                await self._writer.drain()
                return await self._reader.read(READ)
        except TimeoutError:
            if owes and not self._leaving:
                raise PeerError("too_slow", "it did not end a window in time") from None
            return b""
        except OSError:
            return b""
        finally:
            self._reading = None
            if owes:
                self._waited += time.monotonic() - start

    def leave(self) -> None:
        """Read no window that has not begun."""
        self._leaving = True
        if self._reading and not self._connection.in_window:
            self._reading.reschedule(0)

    def acknowledge(self, sequence: int) -> None:
        """Send an acknowledgement; 0, which only keeps alive, is left out while the peer does not read."""
        if self._writer.is_closing() or (sequence == 0 and self._unread):
            return
        self._writer.write(frames.ack(sequence))

    @property
    def _unread(self) -> bool:
        return bool(self._writer.transport.get_write_buffer_size())

    async def _wait_until_gone(self) -> None:
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def _stop_waiting(self, _: object) -> None:
        if self._waiting:
            self._waiting.reschedule(0)

    async def unless_gone(self, something: Awaitable[None]) -> bool:
        """Wait for something, and no longer than the peer is there; tell whether it came."""
        try:
            async with asyncio.timeout(0 if self._gone.done() else None) as self._waiting:
                await something
        except TimeoutError:
            return False
        finally:
            self._waiting = None
        return True

    async def close(self) -> None:
        """End our side after the last acknowledgement, wait for the peer to end its own, and let go."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                self._writer.transport.set_write_buffer_limits(1)  # with 0 an empty buffer counts as full, for TLS
                await self._writer.drain()
                self._writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
                rest = LINGER_BYTES
                while rest > 0 and (data := await self._reader.read(READ)):
                    rest -= len(data)
        self._writer.transport.abort()
        await self._gone


class Server:
    """Accepts connections and hands each to `serve`.

    Parameters
    ----------
    serve
        Deals with a peer until it returns or raises ProtocolError or PeerError.
    """

    def __init__(
        self,
        settings: Settings,
        certificates: Certificates,
        metrics: Metrics,
        serve: Callable[[Peer], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._certificates = certificates
        self._metrics = metrics
        self._serve = serve
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._peers: set[Peer] = set()
        self._draining = False

    def listen(self) -> int:
        """Open the port; give its number.

        Raises
        ------
        OSError
            It is taken, or not ours.
        """
        address = (self._settings.beats_host, self._settings.beats_port)
        over_6 = ":" in address[0]
        self._socket = socket.create_server(
            address, family=socket.AF_INET6 if over_6 else socket.AF_INET, dualstack_ipv6=over_6, backlog=1024
        )
        self._socket.setblocking(False)
        return int(self._socket.getsockname()[1])

    async def run(self) -> None:
        """Accept connections, for ever."""
        assert self._socket  # noqa: S101
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._socket)
            except OSError as error:  # as many files are open as may be
                logger.warning("cannot accept a connection", extra={"reason": str(error)})
                await asyncio.sleep(1)
                continue
            if len(self._tasks) >= self._settings.max_connections:
                self._metrics.refused.inc()
                accepted.close()
                continue
            self._metrics.accepted.inc()
            task = loop.create_task(self._handle(accepted, address[0]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def drain(self, seconds: float) -> None:
        """Accept nothing, let each window that has begun end, and cut at the deadline what has not."""
        self._draining = True
        if self._socket:
            self._socket.close()
        for peer in self._peers:
            peer.leave()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            logger.warning("left connections with windows open", extra={"connections": len(late)})
            await asyncio.wait(late)

    async def _handle(self, accepted: socket.socket, address: str) -> None:
        try:
            peer = await self._connect(accepted)
        except OSError as error:
            reason = handshake_failure(error)
            self._metrics.tls_failures.labels(reason).inc()
            logger.warning("no TLS with a peer", extra={"peer": address, "reason": reason, "detail": str(error)})
            return
        self._peers.add(peer)
        self._metrics.connections.inc()
        if self._draining:
            peer.leave()
        try:
            await self._serve(peer)
        except (ProtocolError, PeerError) as error:
            self._metrics.peer_errors.labels(error.reason).inc()
            logger.warning("left a peer", extra={"peer": address, "reason": error.reason, "detail": str(error)})
        finally:
            self._peers.discard(peer)
            self._metrics.connections.dec()
            await peer.close()

    async def _connect(self, accepted: socket.socket) -> Peer:
        """Shake hands, with the certificates as they are now."""
        loop = asyncio.get_running_loop()
        # Acknowledgements are six bytes each: megabytes of them for a peer that reads none help nobody.
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        reader = asyncio.StreamReader(limit=READ)
        protocol = asyncio.StreamReaderProtocol(reader)
        context = self._certificates.context
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            accepted,
            ssl=context,
            ssl_handshake_timeout=self._settings.handshake_seconds if context else None,
            ssl_shutdown_timeout=LINGER_SECONDS if context else None,
        )
        return Peer(self._settings, reader, asyncio.StreamWriter(transport, protocol, reader, loop))


def handshake_failure(error: OSError) -> str:
    """Name the kind of a failed handshake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate_refused"
    if isinstance(error, ssl.SSLError):
        return "no_certificate" if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE" else "protocol"
    return "too_slow" if isinstance(error, ConnectionAbortedError) else "closed"
