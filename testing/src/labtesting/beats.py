"""Two Lumberjack clients: `BeatsClient` sends single windows, and `Shipper` sends a list of events like filebeat."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections import deque
from collections.abc import Sequence

from beatsrelay.lumberjack.connection import NEED_DATA, ClientConnection
from beatsrelay.lumberjack.frames import ProtocolError

TIMEOUT = 180


def make_events(count: int, name: str, size: int = 500) -> list[bytes]:
    """Return JSON events like those of filebeat. The id of an event is the name and the event's number."""
    rest = {"agent": {"type": "filebeat", "hostname": "node-1"}, "kubernetes": {"namespace": "jupyterlabdemo"}}
    filling = "x" * size
    return [json.dumps({"id": f"{name}-{i}", "message": filling, **rest}).encode() for i in range(count)]


class BeatsClient:
    """A client with one connection to a Lumberjack server, for example to the relay.

    Parameters
    ----------
    port
        Port of the server.
    tls
        Context for TLS. None means plain TCP.
    host
        Name or address of the server. With TLS, the server's certificate must be valid for this name.
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
        """Send a window. `first` is the sequence number of the window's first event."""
        self.socket.sendall(self._connection.send(events, level=level, first=first))

    def read_ack(self) -> int:
        """Wait for an acknowledgement of the server, and return its sequence number.

        Raises
        ------
        OSError
            Raised if no acknowledgement arrives in time, or if the server closes the connection.
        """
        while (ack := self._connection.next_ack()) is NEED_DATA:
            if not (data := self.socket.recv(4096)):
                raise ConnectionResetError("the server closed the connection")
            self._connection.receive_data(data)
        return ack

    def read_until(self, sequence: int) -> list[int]:
        """Wait until a sequence number is acknowledged, and return all acknowledgements up to this one."""
        acks = [self.read_ack()]
        while acks[-1] != sequence:
            acks.append(self.read_ack())
        return acks


class Shipper(threading.Thread):
    """A thread that ships events like filebeat, and sends unacknowledged events again.

    Parameters
    ----------
    window
        Number of events in a window.
    level
        Compression level, from 0 to 9.
    pipelining
        Maximum number of windows that are sent and not acknowledged.
    pause
        Seconds to wait before each window.

    Attributes
    ----------
    acknowledged
        Number of acknowledged events.
    reconnects
        Number of lost connections.
    errors
        Messages about acknowledgements that filebeat would refuse.
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
        """Send windows until all events are acknowledged."""
        while self._windows and not self._stopped.is_set():
            try:
                with BeatsClient(self.port, self._tls, self._host) as client:
                    self._ship(client)
            except (OSError, ProtocolError):
                self.reconnects += 1
                self._stopped.wait(0.1)
            if self._partly:  # Like filebeat, send only the unacknowledged rest of the window again.
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
            self._count(client.read_ack())
            if self._partly == len(self._windows[0]):
                self.acknowledged += len(self._windows.popleft())
                self._partly = 0
                sent -= 1

    def _count(self, ack: int) -> None:
        if ack > len(self._windows[0]) or (ack and ack < self._partly):
            self.errors.append(f"found {ack} after {self._partly}, wanted up to {len(self._windows[0])}")
            raise ProtocolError("bad_ack", self.errors[-1])
        self._partly = max(self._partly, ack)

    def stop(self) -> None:
        """Stop the thread, even if some events are not acknowledged yet."""
        self._stopped.set()
        self.join(TIMEOUT)

    def finish(self, timeout: float = TIMEOUT) -> None:
        """Wait until all events are acknowledged.

        Raises
        ------
        AssertionError
            Raised if an event is not acknowledged after `timeout` seconds, or if filebeat would refuse an
            acknowledgement.
        """
        self.join(timeout)
        assert not self.is_alive(), f"{sum(map(len, self._windows))} events not acknowledged within {timeout} s"
        assert not self.errors, self.errors
