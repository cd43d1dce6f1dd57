"""TLS that two threads may use at once, as a WebSocket's do: one reads, one writes."""

from __future__ import annotations

import select
import ssl
import threading
from pathlib import Path
from typing import Any


class LockedSocket(ssl.SSLSocket):
    """A TLS socket that reads and writes one at a time.

    Python's own, before 3.13, lets a read and a write into OpenSSL together; now and then one of them then ends with
    "internal error", or never.
    """

    lock: threading.Lock

    def __new__(cls, *_: Any, **__: Any) -> LockedSocket:
        """Make one with its lock; the rest is `wrap_socket`'s."""
        made = super().__new__(cls)
        made.lock = threading.Lock()
        return made

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Read, without holding the lock while there is nothing."""
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
        """Write."""
        with self.lock:
            return super().send(data, flags)


def create_tls_context(authority: Path) -> ssl.SSLContext:
    """Give what trusts the certificates of an authority."""
    context = ssl.create_default_context(cafile=authority)
    context.sslsocket_class = LockedSocket
    return context
