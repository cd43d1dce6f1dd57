"""TLS sockets that two threads can use at the same time.

In a WebSocket client, one thread reads and another one writes.
"""

from __future__ import annotations

import select
import ssl
import threading
from pathlib import Path
from typing import Any


class LockedSocket(ssl.SSLSocket):
    """A TLS socket that never reads and writes at the same time.

    Before version 3.13, Python lets two threads call OpenSSL at the same time, one to read and one to write. One of
    these calls then sometimes fails with "internal error", or never ends.
    """

    lock: threading.Lock

    def __new__(cls, *_: Any, **__: Any) -> LockedSocket:
        """Create a socket with a lock. `SSLContext.wrap_socket` sets all other attributes."""
        created = super().__new__(cls)
        created.lock = threading.Lock()
        return created

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Read from the socket. Other threads can write while the socket waits for data."""
        while True:
            with self.lock:
                timeout = self.gettimeout()
                self.settimeout(0)
                try:
                    return super().recv(buflen, flags)
                except ssl.SSLWantReadError:
                    pass
                finally:
                    self.settimeout(timeout)
            if not select.select([self], [], [], timeout)[0]:
                raise TimeoutError("The read operation timed out")

    def send(self, data: Any, flags: int = 0) -> int:
        """Write to the socket while no other thread reads from it."""
        with self.lock:
            return super().send(data, flags)


def create_tls_context(authority: Path) -> ssl.SSLContext:
    """Return a TLS context for a client that trusts the certificates of this authority."""
    context = ssl.create_default_context(cafile=authority)
    context.sslsocket_class = LockedSocket
    return context
