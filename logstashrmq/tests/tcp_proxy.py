"""A TCP proxy that simulates network failures between the relay and the broker."""

from __future__ import annotations

import socket
import threading


class TcpProxy(threading.Thread):
    """A TCP proxy between the relay and the broker.

    A test can let it reset connections, drop all data, or stop reading.

    Parameters
    ----------
    target
        Port of the broker.
    listener
        Listening socket of the proxy. None creates a socket on a free port.

    Attributes
    ----------
    port
        Port that the proxy listens on.
    silent
        If True, the proxy drops all data and keeps the connections open.
    reading
        Event that is set while the proxy reads data. If a test clears it, the network buffers fill up.
    """

    def __init__(self, target: int, listener: socket.socket | None = None) -> None:
        super().__init__(daemon=True)
        self._target = target
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        self.silent = False
        self.reading = threading.Event()
        self.reading.set()
        self.start()

    def run(self) -> None:
        """Accept connections, and forward the data of each over a new connection to the target."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            self._sockets += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._forward, args=pair, daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self.reading.wait()
                if not self.silent:
                    target.sendall(data)
        except OSError:
            pass
        if not self.silent:
            for end in (source, target):
                end.close()

    def cut(self) -> None:
        """Reset all open connections. The proxy still accepts new connections."""
        self.silent = False
        for end in self._sockets:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()
        self._sockets.clear()

    def close(self) -> None:
        """Close the port, and reset all connections."""
        self._listener.shutdown(socket.SHUT_RDWR)  # unlike close(), shutdown() ends an accept() in another thread
        self._listener.close()
        self.cut()
