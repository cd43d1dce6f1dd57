"""Limits on the windows, events and frames that a peer may send."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits on the data that a peer may send over one connection.

    Attributes
    ----------
    window
        Events in a window. A larger window is a protocol error.
    event
        Bytes of an event. A larger event is skipped and reported as oversized.
    frame
        Bytes of a frame before inflation. A larger frame is a protocol error.
    inflated
        Bytes of a compressed frame after inflation. A larger frame is a protocol error.
    """

    window: int = 10_000
    event: int = 1024 * 1024
    frame: int = 64 * 1024 * 1024
    inflated: int = 256 * 1024 * 1024
