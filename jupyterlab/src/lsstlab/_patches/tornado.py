"""Patch of Tornado: connections keep TCP_NODELAY."""

from __future__ import annotations

from lsstlab._patches.guard import is_tested

PROJECT, TESTED = "tornado", ("6.6.1",)
EFFECT = "each kernel message takes 40 ms longer"


def keep_nodelay() -> None:
    """Override `IOStream.set_nodelay`: a connection that has TCP_NODELAY keeps it.

    What: `set_nodelay(False)` does nothing. Each connection gets the option when its first response ends, so this
    covers all WebSockets of the lab: kernels, terminals, proxied servers and those of other extensions.

    Why: Tornado turns Nagle's algorithm on again after each response, the WebSocket handshake included
    (`HTTP1Connection._finish_request`). Jupyter Server and terminado do not turn it off. A kernel answers in several
    small messages, and each after the first waits for the browser's delayed acknowledgement.

    Gain: the round trip of a kernel message takes 4 ms instead of 44 ms.

    Unnecessary when: Tornado leaves the option on for a connection that becomes a WebSocket.
    """
    if not is_tested(PROJECT, TESTED, EFFECT):
        return
    # Imported here: `lab COMMAND` does not need Tornado.
    from tornado.iostream import IOStream

    set_nodelay = IOStream.set_nodelay

    def set_if_on(stream: IOStream, value: bool) -> None:
        if value:
            set_nodelay(stream, value)

    IOStream.set_nodelay = set_if_on  # type: ignore[assignment,method-assign]
