"""Clients that speak Lumberjack: one that does what it is told, and one that ships as filebeat does."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence

from beatsrelay.lumberjack.connection import NEED_DATA, ClientConnection
from beatsrelay.lumberjack.frames import ProtocolError

TIMEOUT = 30


def make_events(count: int, name: str, size: int = 500) -> list[bytes]:
    """Make events that know their number, much like what filebeat sends."""
    rest = {"agent": {"type": "filebeat", "hostname": "node-1"}, "kubernetes": {"namespace": "jupyterlabdemo"}}
    filling = "x" * size
    return [json.dumps({"id": f"{name}-{i}", "message": filling, **rest}).encode() for i in range(count)]


class BeatsClient:
    """A connection to a server of Beats.

    Parameters
    ----------
    port
        Where it listens.
    tls
        With it, speak TLS, to a server that calls itself as its host is named here.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, host: str = "localhost") -> None:
        self.socket: socket.socket = socket.create_connection((host, port), TIMEOUT)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        self._connection = ClientConnection()

    def __enter__(self) -> BeatsClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, events: Sequence[bytes], *, level: int = 3, first: int = 1) -> None:
        """Send a window."""
        self.socket.sendall(self._connection.send(events, level=level, first=first))

    def read_ack(self) -> int:
        """Wait for an acknowledgement.

        Raises
        ------
        OSError
            None came in time, or the connection has ended.
        """
        while (ack := self._connection.next_ack()) is NEED_DATA:
            if not (data := self.socket.recv(4096)):
                raise ConnectionResetError("the server has ended the connection")
            self._connection.receive_data(data)
        return ack

    def read_until(self, sequence: int) -> list[int]:
        """Wait until a sequence number is acknowledged; give all acknowledgements up to it."""
        acks = [self.read_ack()]
        while acks[-1] != sequence:
            acks.append(self.read_ack())
        return acks


class Shipper(threading.Thread):
    """Ships events as filebeat does: windows, two of them on their way, and again what was not acknowledged.

    Attributes
    ----------
    acknowledged
        Events so far.
    reconnects
        How often the connection was lost.
    errors
        Acknowledgements that filebeat would not have understood.
    """

    def __init__(
        self,
        port: int,
        events: Sequence[bytes],
        *,
        window: int = 500,
        level: int = 3,
        pipelining: int = 2,
        tls: ssl.SSLContext | None = None,
        host: str = "localhost",
        pause: float = 0,
    ) -> None:
        super().__init__(daemon=True)
        self.port = port
        self._tls = tls
        self._host = host
        self._pause = pause
        self._level = level
        self._pipelining = pipelining
        self._windows = deque([list(events[i : i + window]) for i in range(0, len(events), window)])
        self._partly = 0
        self._stopped = threading.Event()
        self.acknowledged = 0
        self.reconnects = 0
        self.errors: list[str] = []

    def run(self) -> None:
        """Ship until all is acknowledged."""
        while self._windows and not self._stopped.is_set():
            try:
                with BeatsClient(self.port, self._tls, self._host) as client:
                    self._ship(client)
            except (OSError, ProtocolError):
                self.reconnects += 1
                self._stopped.wait(0.1)
            if self._partly:  # a partial acknowledgement: only the rest is sent again
                del self._windows[0][: self._partly]
                self.acknowledged += self._partly
                self._partly = 0

    def _ship(self, client: BeatsClient) -> None:
        sent = 0
        while self._windows and not self._stopped.is_set():
            while sent < min(self._pipelining, len(self._windows)):
                self._stopped.wait(self._pause)
                client.send(self._windows[sent], level=self._level)
                sent += 1
            self._credit(client.read_ack())
            if self._partly == len(self._windows[0]):
                self.acknowledged += len(self._windows.popleft())
                self._partly = 0
                sent -= 1

    def _credit(self, ack: int) -> None:
        if ack > len(self._windows[0]) or (ack and ack < self._partly):
            self.errors.append(f"found {ack} after {self._partly}, wanted up to {len(self._windows[0])}")
            raise ProtocolError("bad_ack", self.errors[-1])
        self._partly = max(self._partly, ack)

    def stop(self) -> None:
        """Stop in the middle of it."""
        self._stopped.set()
        self.join(TIMEOUT)

    def finish(self, timeout: float = TIMEOUT) -> None:
        """Wait until all is acknowledged.

        Raises
        ------
        AssertionError
            It is not in time, or an acknowledgement made no sense.
        """
        deadline = time.monotonic() + timeout
        self.join(timeout)
        assert not self.is_alive(), f"{sum(map(len, self._windows))} events not acknowledged by {deadline}"
        assert not self.errors, self.errors
