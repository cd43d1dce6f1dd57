"""Classes for Jupyter Server that limit how much of the lab's memory a kernel's output uses.

The options `ServerApp.kernel_websocket_connection_class` and `ServerApp.kernel_manager_class` select these classes. The
classes override only public methods.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

from lsstlab.output_limits import (
    KEPT_MESSAGE_MAX,
    KEPT_NOTE,
    TEXT,
    UNSENT_WIDGETS_MAX,
    WIDGET,
    KeptOutput,
    OutputLimiter,
    Unsent,
    size_of,
)

OUTPUT_CHANNEL = "iopub"


def read_header(session: Session, parts: list[bytes], position: int = 0) -> dict[str, Any]:
    """Return the header of a kernel's message. With `position=1`, return the header of the answered request instead."""
    _, message = session.feed_identities(parts)
    header: dict[str, Any] = session.unpack(message[1 + position])
    return header


def shorten_text(session: Session, parts: list[bytes], size: int, *, keep_end: bool = False) -> list[bytes]:
    """Return a copy of a text message that is shortened to about `size` bytes.

    The copy contains the start of the text, or with `keep_end` the end of the text.
    """
    _, rest = session.feed_identities(parts)
    message = session.deserialize(rest)
    text = message["content"]["text"]
    length = len(text) * size // size_of(parts)  # an estimate: a character has one to six bytes
    message["content"]["text"] = text[-length:] if keep_end else text[:length] + "\n"
    return session.serialize(message)


class LabKernelConnection(ZMQChannelsWebsocketConnection):
    """A page's connection to a kernel. It leaves out output if the page or the network is too slow for all output.

    Jupyter Server's own limiter (option `limit_rate`) limits only text, and ignores how fast the page reads. When that
    limiter leaves out output, it can also leave out a cell's error. This class uses the rate options of that limiter.
    """

    _limiter: OutputLimiter | None = None
    _writes_text = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unsent = Unsent()

    @property
    def write_message(self) -> Callable[..., None]:
        """A function that sends a message to the page. It counts the bytes of messages that are not sent yet."""
        return self._write

    def _write(self, message: bytes | str, binary: bool = False) -> None:
        size, is_text = len(message), self._writes_text
        sent = self.websocket_handler.write_message(message, binary=binary)
        self._unsent.add(size, is_text=is_text)
        sent.add_done_callback(partial(self._count_as_sent, size, is_text))

    def _count_as_sent(self, size: int, is_text: bool, sent: Future[None]) -> None:
        self._unsent.add(-size, is_text=is_text)
        if not sent.cancelled():
            # Read the exception of the future. Otherwise asyncio would log an error for each message that was not sent
            # before the connection closed.
            sent.exception()

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Send a message of the kernel to the page, or only a part of the message, or no message.

        When the connection begins to leave out output, send a note to the user.
        """
        if getattr(stream, "channel", stream) != OUTPUT_CHANNEL:
            super().handle_outgoing_message(stream, outgoing_msg)
            return
        kind = read_header(self.session, outgoing_msg)["msg_type"]
        if kind in WIDGET and self._unsent.total > UNSENT_WIDGETS_MAX:
            self._close()
            return
        size = size_of(outgoing_msg)
        granted, note = self._check(kind, size)
        self._writes_text = kind == TEXT
        if granted == size:
            super().handle_outgoing_message(stream, outgoing_msg)
        elif granted:
            super().handle_outgoing_message(stream, shorten_text(self.session, outgoing_msg, granted))
        self._writes_text = False
        if note:
            self.write_stderr(note, read_header(self.session, outgoing_msg, position=1))  # type: ignore[no-untyped-call]

    def _check(self, kind: str, size: int) -> tuple[int, str]:
        if self._limiter is None:
            self._limiter = OutputLimiter(self.iopub_data_rate_limit, self.iopub_msg_rate_limit, self.rate_limit_window)
        if kind == "execute_input":
            self._limiter.start_over()
        return self._limiter.check(kind, size, self._unsent, monotonic())

    def _close(self) -> None:
        """Close the connection at once. The page connects again, and reads the states of the widgets."""
        connection = self.websocket_handler.ws_connection
        stream = connection.stream if connection else None
        if stream and not stream.closed():
            self.log.warning("the page reads the messages of its widgets too slowly: closing its connection")
            stream.close()


class LabKernelManager(AsyncMappingKernelManager):
    """A kernel manager that keeps only the latest output of a kernel while no page is connected."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self._kept: dict[str, KeptOutput] = {}

    def start_buffering(self, kernel_id: str, session_key: str, channels: dict[str, Any]) -> None:
        """Start to keep the messages of a kernel, because its last page has disconnected."""
        super().start_buffering(kernel_id, session_key, channels)  # type: ignore[no-untyped-call]
        if not self.buffer_offline_messages:
            return
        session = self.get_kernel(kernel_id).session
        kept = self._kept[kernel_id] = KeptOutput()

        def keep(channel: str, parts: list[bytes]) -> None:
            kind = read_header(session, parts)["msg_type"] if channel == OUTPUT_CHANNEL else None
            if kind == TEXT and size_of(parts) > KEPT_MESSAGE_MAX:
                kept.first_left_out = kept.first_left_out or parts
                parts = shorten_text(session, parts, KEPT_MESSAGE_MAX, keep_end=True)
            kept.add(kind, channel, parts)

        for channel, stream in channels.items():
            stream.on_recv(partial(keep, channel))

    def get_buffer(self, kernel_id: str, session_key: str) -> dict[str, Any] | None:
        """Return the kept messages if the page that was connected last connects again. Return None for another page."""
        info: dict[str, Any] | None = super().get_buffer(kernel_id, session_key)  # type: ignore[no-untyped-call]
        if info and (kept := self._kept.pop(kernel_id, None)):
            session = self.get_kernel(kernel_id).session
            note = [self._make_note(session, kept.first_left_out)] if kept.first_left_out else []
            info["buffer"] = [*note, *kept.messages()]
        return info

    def _make_note(self, session: Session, left_out: list[bytes]) -> tuple[str, list[bytes]]:
        parent = read_header(session, left_out, position=1)
        message = session.msg("stream", {"name": "stderr", "text": f"{KEPT_NOTE}\n"}, parent=parent)
        return OUTPUT_CHANNEL, session.serialize(message)

    def stop_buffering(self, kernel_id: str) -> None:
        """Stop keeping the messages of a kernel, and delete the kept messages."""
        super().stop_buffering(kernel_id)  # type: ignore[no-untyped-call]
        self._kept.pop(kernel_id, None)
