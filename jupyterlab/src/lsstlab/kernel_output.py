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

from lsstlab.output_limits import KEPT_MESSAGE_MAX, KEPT_NOTE, TEXT, KeptOutput, OutputLimiter, size_of

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
    length = len(text) * size // size_of(parts)  # characters have one to six bytes
    message["content"]["text"] = text[-length:] if keep_end else text[:length] + "\n"
    return session.serialize(message)


class LabKernelConnection(ZMQChannelsWebsocketConnection):
    """A page's connection to a kernel. It leaves out output if the page or the network is too slow for all output.

    Jupyter Server's own limiter (option `limit_rate`) limits only text, and ignores how fast the page reads. When that
    limiter leaves out output, it can also leave out a cell's error. This class uses the rate options of that limiter.
    """

    _limiter: OutputLimiter | None = None
    _unsent = 0

    @property
    def write_message(self) -> Callable[..., None]:
        """A function that sends a message to the page. It counts the bytes of messages that are not sent yet."""
        return self._write

    def _write(self, message: bytes | str, binary: bool = False) -> None:
        size = len(message)
        sent = self.websocket_handler.write_message(message, binary=binary)
        self._unsent += size
        sent.add_done_callback(partial(self._count_as_sent, size))

    def _count_as_sent(self, size: int, sent: Future[None]) -> None:
        self._unsent -= size
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
        size = size_of(outgoing_msg)
        granted, note = self._check(outgoing_msg, size)
        if granted == size:
            super().handle_outgoing_message(stream, outgoing_msg)
        elif granted:
            super().handle_outgoing_message(stream, shorten_text(self.session, outgoing_msg, granted))
        if note:
            self.write_stderr(note, read_header(self.session, outgoing_msg, position=1))  # type: ignore[no-untyped-call]

    def _check(self, parts: list[bytes], size: int) -> tuple[int, str]:
        if self._limiter is None:
            self._limiter = OutputLimiter(self.iopub_data_rate_limit, self.iopub_msg_rate_limit, self.rate_limit_window)
        kind = read_header(self.session, parts)["msg_type"]
        if kind == "execute_input":
            self._limiter.start_over()
        return self._limiter.check(kind, size, self._unsent, monotonic())


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
