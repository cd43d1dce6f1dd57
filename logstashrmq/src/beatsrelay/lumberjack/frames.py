"""The frames: their codes, their layout, and how each is written. All numbers are big-endian.

====  =====================================  ==============================
code  layout                                 meaning
====  =====================================  ==============================
2W    u32 count                              a window of so many events
2J    u32 sequence, u32 length, JSON         one event
2C    u32 length, zlib                       whole data frames, compressed
2A    u32 sequence                           everything up to it is safe
====  =====================================  ==============================
"""

from __future__ import annotations

import struct
import zlib

WINDOW = 0x3257
DATA = 0x324A
COMPRESSED = 0x3243
ACK = 0x3241

SHORT = struct.Struct(">HI")
LONG = struct.Struct(">HII")


class ProtocolError(Exception):
    """The peer broke the protocol; nothing more can be read of its stream.

    Attributes
    ----------
    reason
        One of a few short names, for a metric.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def window(count: int) -> bytes:
    """Announce a window."""
    return SHORT.pack(WINDOW, count)


def data(sequence: int, payload: bytes) -> bytes:
    """Write one event."""
    return LONG.pack(DATA, sequence, len(payload)) + payload


def compressed(frames: bytes, level: int) -> bytes:
    """Compress frames into one."""
    packed = zlib.compress(frames, level)
    return SHORT.pack(COMPRESSED, len(packed)) + packed


def ack(sequence: int) -> bytes:
    """Acknowledge all events up to a sequence number; 0 only says that the other side is alive."""
    return SHORT.pack(ACK, sequence)
