"""A reader that parses events from a stream of frames, with bounded memory."""

from __future__ import annotations

from dataclasses import dataclass

from beatsrelay.lumberjack.frames import DATA, EVENT_HEADER, SHORT_HEADER, ProtocolError
from beatsrelay.lumberjack.limits import Limits

# Number of bytes from the start of an oversized event that the reader keeps for the dead letter.
OVERSIZED_BYTES_KEPT = 64 * 1024


@dataclass(frozen=True)
class OversizedEvent:
    """An event above the size limit.

    Attributes
    ----------
    size
        Bytes of the event.
    start
        The first bytes of the event, at most `OVERSIZED_BYTES_KEPT`.
    """

    size: int
    start: bytes


class EventReader:
    """A parser that reads event frames from the start of a buffer.

    The buffer contains at most the last received data and one event of the maximum size.

    Attributes
    ----------
    sequence
        Sequence number of the last parsed event.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._frame_size = 0  # size of the incomplete frame at the start of the buffer; 0 if unknown
        self._skip_size = 0  # number of bytes of the oversized event that are still to be skipped
        self._oversized_size = 0  # size of the oversized event that is being skipped; 0 if there is none
        self._oversized_start = bytearray()
        self.sequence = 0

    def __len__(self) -> int:
        return len(self._buffer)

    @property
    def in_event(self) -> bool:
        """Whether the reader is skipping an oversized event."""
        return self._oversized_size > 0

    @property
    def ready(self) -> bool:
        """Whether to parse the buffer: it may contain a whole frame, or the rest of an event that the reader skips."""
        return len(self._buffer) >= (self._skip_size or self._frame_size or SHORT_HEADER.size)

    def receive_data(self, data: bytes) -> None:
        """Append data to the buffer."""
        self._buffer += data

    def peek_code(self) -> int | None:
        """Return the code of the next frame, or None if the two bytes of the code were not received yet."""
        return int.from_bytes(self._buffer[:2], "big") if len(self._buffer) >= 2 else None

    def pop_bytes(self, size: int) -> bytes:
        """Remove up to `size` bytes from the start of the buffer and return them."""
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def read(self, limit: int) -> tuple[list[bytes], list[OversizedEvent]]:
        """Return up to `limit` complete events, and the oversized events among them.

        Reading stops before a frame of another kind.

        Raises
        ------
        ProtocolError
            Raised if a frame is larger than `Limits.frame`.
        """
        events: list[bytes] = []
        oversized: list[OversizedEvent] = []
        while len(events) + len(oversized) < limit:
            if self.in_event:
                if (skipped := self._skip_oversized()) is None:
                    break
                oversized.append(skipped)
            elif len(self._buffer) < max(self._frame_size, EVENT_HEADER.size):
                break
            else:
                self._parse_events(events, limit - len(oversized))
                if not self.in_event:
                    break
        return events, oversized

    def _parse_events(self, events: list[bytes], limit: int) -> None:
        buffer = bytes(self._buffer)
        offset, end, header_size, event_limit = 0, len(buffer), EVENT_HEADER.size, self._limits.event
        self._frame_size = 0
        while len(events) < limit and offset + header_size <= end:
            code, sequence, size = EVENT_HEADER.unpack_from(buffer, offset)
            if code != DATA:
                break
            if size > event_limit:
                self._start_skipping(sequence, size)
                offset += header_size
                break
            stop = offset + header_size + size
            if stop > end:
                self._frame_size = header_size + size
                break
            events.append(buffer[offset + header_size : stop])
            self.sequence = sequence
            offset = stop
        del self._buffer[:offset]

    def _start_skipping(self, sequence: int, size: int) -> None:
        if size > self._limits.frame:
            raise ProtocolError(
                "frame_too_large", f"received an event of {size} bytes, wanted up to {self._limits.frame}"
            )
        self.sequence = sequence
        self._oversized_size = self._skip_size = size
        self._oversized_start.clear()

    def _skip_oversized(self) -> OversizedEvent | None:
        data = self.pop_bytes(self._skip_size)
        self._skip_size -= len(data)
        self._oversized_start += data[: OVERSIZED_BYTES_KEPT - len(self._oversized_start)]
        if self._skip_size:
            return None
        event = OversizedEvent(self._oversized_size, bytes(self._oversized_start))
        self._oversized_size = 0
        self._oversized_start.clear()
        return event
