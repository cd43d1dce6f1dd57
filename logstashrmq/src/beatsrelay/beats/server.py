"""The server for Beats: it accepts connections, does TLS handshakes, and lets connections end at shutdown."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable

from beatsrelay.beats.peer import LINGER_SECONDS, READ_BYTES, Peer, PeerError
from beatsrelay.beats.tls import Certificates
from beatsrelay.lumberjack.frames import ProtocolError
from beatsrelay.metrics import Metrics
from beatsrelay.settings import Settings

logger = logging.getLogger(__name__)

# An acknowledgement has six bytes, so a small buffer is enough. A larger one would store more acknowledgements for a
# peer that does not read.
SEND_BUFFER_BYTES = 32 * 1024
# Delay in seconds before the next attempt, after a connection could not be accepted
ACCEPT_RETRY_SECONDS = 1


class Server:
    """A server that accepts connections, and runs `serve` for each of them.

    Parameters
    ----------
    serve
        Function that serves a peer. The connection is closed when the function returns, or raises ProtocolError or
        PeerError.
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
        """Open the port for Beats, and return the port's number.

        Raises
        ------
        OSError
            Raised if the address cannot be bound.
        """
        host, port = self._settings.beats_host, self._settings.beats_port
        is_ipv6 = ":" in host
        self._socket = socket.create_server(
            (host, port), family=socket.AF_INET6 if is_ipv6 else socket.AF_INET, dualstack_ipv6=is_ipv6, backlog=1024
        )
        self._socket.setblocking(False)
        return int(self._socket.getsockname()[1])

    async def run(self) -> None:
        """Accept connections until this task is cancelled."""
        assert self._socket  # noqa: S101
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._socket)
            except OSError as error:  # for example, the process has too many open files
                logger.warning("cannot accept a connection", extra={"event.reason": str(error)})
                await asyncio.sleep(ACCEPT_RETRY_SECONDS)
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
        """Close the port, and let each connection complete its current window.

        Connections that are still open after `seconds` are closed.
        """
        self._draining = True
        if self._socket:
            self._socket.close()
        for peer in self._peers:
            peer.stop_reading()
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=seconds)
        for task in late:
            task.cancel()
        if late:
            logger.warning("closed connections with open windows", extra={"connections": len(late)})
            await asyncio.wait(late)

    async def _handle(self, accepted: socket.socket, address: str) -> None:
        try:
            peer = await self._connect(accepted)
        except OSError as error:
            reason = classify_handshake_error(error)
            self._metrics.tls_failures.labels(reason).inc()
            log_peer_error("the TLS handshake with a peer failed", address, reason, error)
            return
        self._peers.add(peer)
        self._metrics.connections.inc()
        if self._draining:
            peer.stop_reading()
        try:
            await self._serve(peer)
        except (ProtocolError, PeerError) as error:
            self._metrics.peer_errors.labels(error.reason).inc()
            log_peer_error("closed the connection of a peer after an error", address, error.reason, error)
        finally:
            self._peers.discard(peer)
            self._metrics.connections.dec()
            await peer.close()

    async def _connect(self, accepted: socket.socket) -> Peer:
        """Do the TLS handshake of a new connection, with the current certificates.

        This class does not use asyncio's TLS server, which would keep the TLS context from its start, and not report
        failed handshakes.
        """
        loop = asyncio.get_running_loop()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        reader = asyncio.StreamReader(limit=READ_BYTES)
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


def log_peer_error(message: str, address: str, reason: str, error: Exception) -> None:
    """Log a protocol error or a failed handshake of a peer as a warning."""
    fields = {"client.address": address, "event.reason": reason, "error.message": str(error)}
    logger.warning(message, extra=fields)


def classify_handshake_error(error: OSError) -> str:
    """Return a short name for the reason of a failed TLS handshake, for the label of a metric."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate_refused"
    if isinstance(error, ssl.SSLError):
        return "no_certificate" if error.reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE" else "protocol"
    return "too_slow" if isinstance(error, ConnectionAbortedError) else "closed"
