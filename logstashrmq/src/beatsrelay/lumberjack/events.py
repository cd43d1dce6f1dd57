"""Events out of a stream of data frames, and such a stream out of a compressed frame: both bounded."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from beatsrelay.lumberjack.frames import DATA, LONG, SHORT, ProtocolError

# How much of an oversized event is kept, for whoever looks into the dead letters.
KEPT = 64 * 1024
# How much is inflated at once: what a connection can hold beyond the event that it is in the middle of.
PIECE = 256 * 1024


@dataclass(frozen=True)
class Limits:
    """What a peer may send.

    Attributes
    ----------
    window
        Events in a window.
    event
        Bytes of an event; a larger one is skipped and reported.
    frame
        Bytes of a frame as it comes over the wire; a larger one breaks the protocol.
    inflated
        Bytes of a compressed frame once inflated; more breaks the protocol.
    """

    window: int = 10_000
    event: int = 1024 * 1024
    frame: int = 64 * 1024 * 1024
    inflated: int = 256 * 1024 * 1024


@dataclass(frozen=True)
class Oversized:
    """An event above the limit: its size, and how it begins."""

    size: int
    start: bytes


class EventReader:
    """A buffer of frames that gives the events at its beginning.

    It never holds more than what it was fed last and one event of the largest size allowed.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._needed = 0
        self._skipped = 0
        self._start = bytearray()
        self._oversized = 0
        self.sequence = 0

    def __len__(self) -> int:
        return len(self._buffer)

    @property
    def in_event(self) -> bool:
        """Whether it stands within an event that it skips."""
        return self._oversized > 0

    @property
    def ready(self) -> bool:
        """Whether a frame, or what of it is to be skipped, may have come to its end."""
        return len(self._buffer) >= (self._skipped or self._needed or SHORT.size)

    def feed(self, data: bytes) -> None:
        """Add what came."""
        self._buffer += data

    def peek(self) -> int | None:
        """Give the code of the frame at the beginning; none if it has not come yet."""
        return int.from_bytes(self._buffer[:2], "big") if len(self._buffer) >= 2 else None

    def take(self, size: int) -> bytes:
        """Take up to so many bytes from the beginning."""
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def read(self, limit: int) -> tuple[list[bytes], list[Oversized]]:
        """Take up to so many whole events; stop before a frame that holds none.

        Raises
        ------
        ProtocolError
            A frame is larger than any may be.
        """
        events: list[bytes] = []
        oversized: list[Oversized] = []
        while len(events) + len(oversized) < limit:
            if self._oversized:
                if (done := self._skip()) is None:
                    break
                oversized.append(done)
            elif len(self._buffer) < max(self._needed, LONG.size):
                break
            else:
                self._split(events, limit - len(oversized))
                if not self._oversized:
                    break
        return events, oversized

    def _split(self, events: list[bytes], limit: int) -> None:
        buffer = bytes(self._buffer)
        offset, end, header, largest = 0, len(buffer), LONG.size, self._limits.event
        self._needed = 0
        while len(events) < limit and offset + header <= end:
            code, sequence, size = LONG.unpack_from(buffer, offset)
            if code != DATA:
                break
            if size > largest:
                self._begin_to_skip(sequence, size)
                offset += header
                break
            stop = offset + header + size
            if stop > end:
                self._needed = header + size
                break
            events.append(buffer[offset + header : stop])
            self.sequence = sequence
            offset = stop
        del self._buffer[:offset]

    def _begin_to_skip(self, sequence: int, size: int) -> None:
        if size > self._limits.frame:
            raise ProtocolError("frame_too_large", f"an event of {size} bytes, wanted up to {self._limits.event}")
        self.sequence = sequence
        self._oversized = self._skipped = size
        self._start.clear()

    def _skip(self) -> Oversized | None:
        gone = self.take(self._skipped)
        self._skipped -= len(gone)
        self._start += gone[: KEPT - len(self._start)]
        if self._skipped:
            return None
        done = Oversized(self._oversized, bytes(self._start))
        self._oversized = 0
        self._start.clear()
        return done


class Inflater:
    """The inside of one compressed frame, inflated piece by piece.

    Parameters
    ----------
    size
        Bytes of the frame over the wire.
    limits
        What it may hold.
    """

    def __init__(self, size: int, limits: Limits) -> None:
        self.missing = size
        self._limit = limits.inflated
        self._total = 0
        self._zlib = zlib.decompressobj()
        self._waiting = b""

    @property
    def finished(self) -> bool:
        """Whether all of it came and was inflated."""
        return not self.missing and not self._waiting and self._zlib.eof

    def feed(self, data: bytes) -> None:
        """Add compressed bytes."""
        self.missing -= len(data)
        self._waiting += data

    def read(self) -> bytes:
        """Inflate the next piece; empty if more has to come first.

        Raises
        ------
        ProtocolError
            It is no zlib stream, is too large, ends early, or something follows it.
        """
        try:
            piece = self._zlib.decompress(self._waiting, PIECE)
        except zlib.error as error:
            raise ProtocolError("bad_compression", f"a compressed frame that is none: {error}") from error
        self._waiting = self._zlib.unconsumed_tail
        self._total += len(piece)
        if self._total > self._limit:
            raise ProtocolError("inflated_too_large", f"a compressed frame of more than {self._limit} bytes inflated")
        if self._zlib.unused_data or (self._zlib.eof and self.missing):
            raise ProtocolError("bad_compression", "a compressed frame with something after its end")
        if not piece and not self.missing and not self._zlib.eof:
            raise ProtocolError("bad_compression", "a compressed frame that ends early")
        return piece
