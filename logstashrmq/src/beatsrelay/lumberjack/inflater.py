"""Inflation of one compressed frame, with bounded memory."""

from __future__ import annotations

import zlib

from beatsrelay.lumberjack.frames import ProtocolError
from beatsrelay.lumberjack.limits import Limits

# Maximum number of bytes that one call of `inflate` returns. A connection stores at most these bytes and one incomplete
# event.
INFLATE_BYTES = 256 * 1024


class Inflater:
    """A decompressor that inflates the content of one compressed frame piece by piece.

    Parameters
    ----------
    size
        Number of bytes of the compressed content.
    limits
        Limits of the connection.

    Attributes
    ----------
    missing
        Number of compressed bytes that the peer has not sent yet.
    """

    def __init__(self, size: int, limits: Limits) -> None:
        self.missing = size
        self._limit = limits.inflated
        self._total = 0
        self._zlib = zlib.decompressobj()
        self._pending = b""

    @property
    def finished(self) -> bool:
        """Whether the whole content of the frame was received and inflated."""
        return not self.missing and not self._pending and self._zlib.eof

    def receive_data(self, data: bytes) -> None:
        """Store compressed bytes that the peer has sent."""
        self.missing -= len(data)
        self._pending += data

    def inflate(self) -> bytes:
        """Return the next piece of the inflated content, or empty bytes if more compressed bytes are needed.

        Raises
        ------
        ProtocolError
            Raised if the content is not a single complete zlib stream, or is larger than the limit.
        """
        try:
            piece = self._zlib.decompress(self._pending, INFLATE_BYTES)
        except zlib.error as error:
            raise ProtocolError("bad_compression", f"invalid zlib data in a compressed frame: {error}") from error
        self._pending = self._zlib.unconsumed_tail
        self._total += len(piece)
        if self._total > self._limit:
            raise ProtocolError("inflated_too_large", f"a compressed frame inflates to more than {self._limit} bytes")
        if self._zlib.unused_data or (self._zlib.eof and self.missing):
            raise ProtocolError("bad_compression", "a compressed frame has data after the end of its zlib stream")
        if not piece and not self.missing and not self._zlib.eof:
            raise ProtocolError("bad_compression", "a compressed frame ends before its zlib stream")
        return piece
