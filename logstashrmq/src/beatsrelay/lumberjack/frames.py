"""The frames of Lumberjack v2: codes, layout and encoding. All numbers are big-endian.

====  =====================================  ===================================
code  layout                                 meaning
====  =====================================  ===================================
2W    u32 count                              start of a window of `count` events
2J    u32 sequence, u32 length, JSON         one event
2C    u32 length, zlib                       complete event frames, compressed
2A    u32 sequence                           acknowledges events up to `sequence`
====  =====================================  ===================================
"""

from __future__ import annotations

import struct
import zlib

WINDOW = 0x3257
DATA = 0x324A
COMPRESSED = 0x3243
ACK = 0x3241

# A code and one number: a window frame, an acknowledgement, or the start of a compressed frame.
SHORT_HEADER = struct.Struct(">HI")
# A code, a sequence number and a length: the start of an event frame.
EVENT_HEADER = struct.Struct(">HII")


class ProtocolError(Exception):
    """A violation of the protocol by the peer. The rest of the peer's stream cannot be parsed.

    Attributes
    ----------
    reason
        Short name of the violation: the label of a metric.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def encode_window(count: int) -> bytes:
    """Return a frame that announces a window of `count` events."""
    return SHORT_HEADER.pack(WINDOW, count)


def encode_event(sequence: int, payload: bytes) -> bytes:
    """Return the frame of one event."""
    return EVENT_HEADER.pack(DATA, sequence, len(payload)) + payload


def encode_compressed(frames: bytes, level: int) -> bytes:
    """Return one compressed frame that contains these frames. `level` is the compression level of zlib, 0 to 9."""
    compressed = zlib.compress(frames, level)
    return SHORT_HEADER.pack(COMPRESSED, len(compressed)) + compressed


def encode_ack(sequence: int) -> bytes:
    """Return a frame that acknowledges all events up to a sequence number; 0 is a keep-alive."""
    return SHORT_HEADER.pack(ACK, sequence)
