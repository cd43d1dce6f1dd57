"""The client and server side of a Lumberjack connection. `receive_data` stores bytes, `next_event` parses them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from beatsrelay.lumberjack import frames
from beatsrelay.lumberjack.events import EventReader, OversizedEvent
from beatsrelay.lumberjack.frames import ProtocolError
from beatsrelay.lumberjack.inflater import Inflater
from beatsrelay.lumberjack.limits import Limits


class NeedData(Enum):
    """The type of `NEED_DATA`.

    The value means that the caller must call `receive_data` before the next `next_event`.
    """

    NEED_DATA = "need data"


NEED_DATA = NeedData.NEED_DATA
Default = TypeVar("Default")


@dataclass(frozen=True)
class Chunk:
    """Consecutive events of one window, as far as they were received.

    Attributes
    ----------
    events
        Bytes of each event, as the peer sent them.
    sequence
        Highest sequence number of the window so far. An acknowledgement of this number covers all events of this chunk.
    last
        Whether the window ends with this chunk.
    oversized
        Events above the size limit.
    """

    events: Sequence[bytes]
    sequence: int
    last: bool
    oversized: Sequence[OversizedEvent] = field(default=())


class ServerConnection:
    """The server side of a Lumberjack connection, which receives events.

    Because of the limits, a connection stores at most one piece of inflated data and one event. After an error, each
    call of `next_event` raises the same error.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._outer = EventReader(limits)  # parses the frames as received
        self._inner = EventReader(limits)  # parses the frames inside the current compressed frame
        self._inflater: Inflater | None = None
        self._missing_events = 0
        self._sequence = 0
        self._error: ProtocolError | None = None

    @property
    def in_window(self) -> bool:
        """Whether the current window is incomplete: some of its events were not received yet."""
        return self._missing_events > 0

    @property
    def in_message(self) -> bool:
        """Whether a window or a frame was received only in part."""
        return self.in_window or len(self._outer) > 0 or self._inflater is not None

    @property
    def idle(self) -> bool:
        """Whether `next_event` will certainly return `NEED_DATA`. False means that a complete event may be stored."""
        inflated = self._inflater is None or (self._inflater.finished and not len(self._inner))
        return inflated and not self._outer.ready

    def receive_data(self, data: bytes) -> None:
        """Store data from the socket."""
        if self._error is None:
            self._outer.receive_data(data)

    def next_event(self) -> Chunk | NeedData:
        """Return the next received events as a chunk, or `NEED_DATA`.

        Raises
        ------
        ProtocolError
            Raised if the peer violated the protocol. Later calls raise the same error.
        """
        if self._error:
            raise self._error
        try:
            return self._parse()
        except ProtocolError as error:
            self._error = error
            self._inflater = None
            self._outer, self._inner = EventReader(self._limits), EventReader(self._limits)
            raise

    def _parse(self) -> Chunk | NeedData:
        while True:
            if self._inflater:
                result = self._read_compressed(self._inflater)
            elif self._outer.in_event:
                result = self._read_events(self._outer, NEED_DATA)
            else:
                result = self._read_frame()
            if result is not None:
                return result

    def _read_frame(self) -> Chunk | NeedData | None:
        code = self._outer.peek_code()
        if code is None:
            return NEED_DATA
        if code == frames.DATA:
            self._check_in_window()
            return self._read_events(self._outer, NEED_DATA)
        if code not in (frames.WINDOW, frames.COMPRESSED):
            raise ProtocolError("unknown_frame", f"received a frame with the unknown code {code:#06x}")
        if len(self._outer) < frames.SHORT_HEADER.size:
            return NEED_DATA
        _, number = frames.SHORT_HEADER.unpack(self._outer.pop_bytes(frames.SHORT_HEADER.size))
        if code == frames.WINDOW:
            return self._start_window(number)
        self._check_in_window()
        if number > self._limits.frame:
            raise ProtocolError(
                "frame_too_large", f"received a frame of {number} bytes, wanted up to {self._limits.frame}"
            )
        self._inflater = Inflater(number, self._limits)
        return None

    def _check_in_window(self) -> None:
        if not self.in_window:
            raise ProtocolError("outside_window", "received an event outside a window")

    def _start_window(self, count: int) -> Chunk | None:
        if count > self._limits.window:
            raise ProtocolError(
                "window_too_large", f"received a window of {count} events, wanted up to {self._limits.window}"
            )
        # A new window replaces a window with missing events, as in Logstash.
        unfinished = Chunk((), self._sequence, last=True) if self.in_window else None
        self._missing_events, self._sequence = count, 0
        return unfinished or (None if count else Chunk((), 0, last=True))

    def _read_events(self, reader: EventReader, default: Default) -> Chunk | Default:
        events, oversized = reader.read(self._missing_events)
        if not events and not oversized:
            return default
        self._missing_events -= len(events) + len(oversized)
        self._sequence = max(self._sequence, reader.sequence)
        return Chunk(events, self._sequence, not self._missing_events, oversized)

    def _read_compressed(self, inflater: Inflater) -> Chunk | NeedData | None:
        """Return the next chunk of a compressed frame, or None at the end of the frame."""
        inner = self._inner
        if len(inner) >= 2 and not inner.in_event and (code := inner.peek_code()) != frames.DATA:
            raise ProtocolError("nested_frame", f"received a frame with the code {code:#06x} inside a compressed frame")
        if self.in_window and (chunk := self._read_events(inner, None)):
            return chunk
        if len(inner):
            self._check_in_window()
        if not inflater.finished:
            inflater.receive_data(self._outer.pop_bytes(inflater.missing))
            piece = inflater.inflate()
            inner.receive_data(piece)
            if piece:
                # Return after each inflated piece, even without a complete event, so that the caller can let other
                # connections run.
                return self._read_events(inner, Chunk((), self._sequence, last=False))
            if not inflater.finished:
                return NEED_DATA
        if len(inner) or inner.in_event:
            raise ProtocolError("bad_compression", "a compressed frame ends inside an event")
        self._inflater = None
        return None


class ClientConnection:
    """The client side of a Lumberjack connection, which sends events.

    Tests, the demo and the benchmark use this class.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def send(self, payloads: Sequence[bytes], *, level: int = 3, first: int = 1) -> bytes:
        """Return the frames of a window, ready to send.

        Parameters
        ----------
        payloads
            The events.
        level
            Compression level of zlib; 0 sends the events uncompressed.
        first
            Sequence number of the first event.
        """
        events = b"".join(frames.encode_event(number, payload) for number, payload in enumerate(payloads, first))
        return frames.encode_window(len(payloads)) + (frames.encode_compressed(events, level) if level else events)

    def receive_data(self, data: bytes) -> None:
        """Store data from the socket."""
        self._buffer += data

    def next_ack(self) -> int | NeedData:
        """Return the sequence number of the next acknowledgement from the server, or `NEED_DATA`.

        Raises
        ------
        ProtocolError
            Raised if the server sent a frame that is not an acknowledgement.
        """
        if len(self._buffer) < frames.SHORT_HEADER.size:
            return NEED_DATA
        code, sequence = frames.SHORT_HEADER.unpack_from(self._buffer)
        del self._buffer[: frames.SHORT_HEADER.size]
        if code != frames.ACK:
            raise ProtocolError(
                "unknown_frame", f"received a frame with the code {code:#06x}, wanted an acknowledgement"
            )
        return int(sequence)
