"""A connection's state, without its socket: `receive_data` stores, `next_event` gives what is whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

from beatsrelay.lumberjack import frames
from beatsrelay.lumberjack.events import EventReader, Inflater, Limits, Oversized
from beatsrelay.lumberjack.frames import ProtocolError


class NeedData(Enum):
    """Nothing is whole yet: receive more."""

    NEED_DATA = "need data"


NEED_DATA = NeedData.NEED_DATA
Nothing = TypeVar("Nothing")


@dataclass(frozen=True)
class Chunk:
    """Events of one window, in order, as far as they have come.

    Attributes
    ----------
    events
        Their bytes, as they were sent.
    oversized
        Those that were too large.
    sequence
        The highest sequence number so far: what acknowledges all of the window up to here.
    last
        Whether the window ends here.
    """

    events: Sequence[bytes]
    sequence: int
    last: bool
    oversized: Sequence[Oversized] = field(default=())


class ServerConnection:
    """The side that takes events.

    What it holds is bounded by the limits: a piece of inflated data and one event. An error is sticky.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._outer = EventReader(limits)
        self._inner = EventReader(limits)
        self._inflater: Inflater | None = None
        self._left = 0
        self._sequence = 0
        self._error: ProtocolError | None = None

    @property
    def in_window(self) -> bool:
        """Whether a window has begun and not ended."""
        return self._left > 0

    @property
    def in_message(self) -> bool:
        """Whether the peer owes the rest of something."""
        return self.in_window or len(self._outer) > 0 or self._inflater is not None

    @property
    def idle(self) -> bool:
        """Whether nothing whole has come beyond the events that were given: then the next event is none."""
        done = self._inflater is None or (self._inflater.finished and not len(self._inner))
        return done and not self._outer.ready

    def receive_data(self, data: bytes) -> None:
        """Store what came from the socket."""
        if self._error is None:
            self._outer.feed(data)

    def next_event(self) -> Chunk | NeedData:
        """Give the next events.

        Raises
        ------
        ProtocolError
            The stream is broken; the same error is raised ever after.
        """
        if self._error:
            raise self._error
        try:
            return self._next()
        except ProtocolError as error:
            self._error = error
            self._inflater = None
            self._outer, self._inner = EventReader(self._limits), EventReader(self._limits)
            raise

    def _next(self) -> Chunk | NeedData:
        while True:
            if self._inflater:
                found = self._read_compressed(self._inflater)
            elif self._outer.in_event:
                found = self._read_events(self._outer, NEED_DATA)
            else:
                found = self._read_frame()
            if found is not None:
                return found

    def _read_frame(self) -> Chunk | NeedData | None:
        code = self._outer.peek()
        if code is None:
            return NEED_DATA
        if code == frames.DATA:
            self._check_window()
            return self._read_events(self._outer, NEED_DATA)
        if code not in (frames.WINDOW, frames.COMPRESSED):
            raise ProtocolError("unknown_frame", f"a frame that begins with {code:#06x}")
        if len(self._outer) < frames.SHORT.size:
            return NEED_DATA
        _, size = frames.SHORT.unpack(self._outer.take(frames.SHORT.size))
        if code == frames.WINDOW:
            return self._begin_window(size)
        self._check_window()
        if size > self._limits.frame:
            raise ProtocolError("frame_too_large", f"a frame of {size} bytes, wanted up to {self._limits.frame}")
        self._inflater = Inflater(size, self._limits)
        return None

    def _check_window(self) -> None:
        if not self._left:
            raise ProtocolError("outside_window", "an event that no window announced")

    def _begin_window(self, count: int) -> Chunk | None:
        if count > self._limits.window:
            raise ProtocolError("window_too_large", f"a window of {count} events, wanted up to {self._limits.window}")
        # A window that ends early ends here; Logstash takes it so, too.
        early = Chunk((), self._sequence, last=True) if self._left else None
        self._left, self._sequence = count, 0
        return early or (None if count else Chunk((), 0, last=True))

    def _read_events(self, reader: EventReader, nothing: Nothing) -> Chunk | Nothing:
        events, oversized = reader.read(self._left)
        if not events and not oversized:
            return nothing
        self._left -= len(events) + len(oversized)
        self._sequence = max(self._sequence, reader.sequence)
        return Chunk(events, self._sequence, not self._left, oversized)

    def _read_compressed(self, inflater: Inflater) -> Chunk | NeedData | None:
        """Read on within a compressed frame; none when it is done."""
        inner = self._inner
        if len(inner) >= 2 and not inner.in_event and inner.peek() != frames.DATA:
            raise ProtocolError("nested_frame", f"a compressed frame within which one begins with {inner.peek():#06x}")
        if self._left and (chunk := self._read_events(inner, None)):
            return chunk
        if not self._left and len(inner):
            raise ProtocolError("outside_window", "an event that no window announced")
        if not inflater.finished:
            inflater.feed(self._outer.take(inflater.missing))
            piece = inflater.read()
            inner.feed(piece)
            if piece:  # a chunk for each, even if no event ends in it: whoever calls can let others have their turn
                return self._read_events(inner, Chunk((), self._sequence, last=False))
            if not inflater.finished:
                return NEED_DATA
        if len(inner) or inner.in_event:
            raise ProtocolError("bad_compression", "a compressed frame that ends within an event")
        self._inflater = None
        return None


class ClientConnection:
    """The side that sends events; for tests, the demo and the load generator."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def send(self, payloads: Sequence[bytes], *, level: int = 3, first: int = 1) -> bytes:
        """Write a window; level 0 does not compress. Sequence numbers start at `first`."""
        events = b"".join(frames.data(number, payload) for number, payload in enumerate(payloads, first))
        return frames.window(len(payloads)) + (frames.compressed(events, level) if level else events)

    def receive_data(self, data: bytes) -> None:
        """Store what came from the socket."""
        self._buffer += data

    def next_ack(self) -> int | NeedData:
        """Give the next acknowledged sequence number."""
        if len(self._buffer) < frames.SHORT.size:
            return NEED_DATA
        code, sequence = frames.SHORT.unpack_from(self._buffer)
        del self._buffer[: frames.SHORT.size]
        if code != frames.ACK:
            raise ProtocolError("unknown_frame", f"a frame that begins with {code:#06x}, wanted an acknowledgement")
        return int(sequence)
