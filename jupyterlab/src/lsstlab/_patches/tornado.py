"""A patch of Tornado that sends each message of a WebSocket at once (TCP_NODELAY)."""

from __future__ import annotations

from lsstlab._patches.guard import is_tested

PROJECT, TESTED = "tornado", ("6.6.1",)
EFFECT = "each kernel message takes 40 ms longer"


def keep_nodelay() -> None:
    """Override `IOStream.set_nodelay`, so that a connection with the socket option TCP_NODELAY keeps the option.

    What: `set_nodelay(False)` has no effect. Tornado sets the option at the end of each response, and a WebSocket
    handshake is also a response. So the WebSockets of kernels, terminals and extensions all keep the option.

    Why: after each response, Tornado removes the option (`HTTP1Connection._finish_request`), and Jupyter Server and
    terminado do not set it again. Without the option, Linux uses Nagle's algorithm. A kernel answers with several small
    messages, and each message after the first would wait until the browser acknowledges the message before it.

    Gain: the round trip of a kernel message takes 4 ms instead of 44 ms.

    Unnecessary when: Tornado does not remove the option from a connection that becomes a WebSocket.
    """
    if not is_tested(PROJECT, TESTED, EFFECT):
        return
    # Import Tornado here. An import at the top would also delay `lab COMMAND`, which does not need Tornado.
    from tornado.iostream import IOStream

    set_nodelay = IOStream.set_nodelay

    def set_if_on(stream: IOStream, value: bool) -> None:
        if value:
            set_nodelay(stream, value)

    IOStream.set_nodelay = set_if_on  # type: ignore[assignment,method-assign]
