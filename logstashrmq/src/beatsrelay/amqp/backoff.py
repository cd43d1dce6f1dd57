"""Delays between attempts to connect or to publish."""

from __future__ import annotations

import random


class Backoff:
    """Exponential backoff with jitter: delays that double after each call, and are partly random.

    Parameters
    ----------
    first, longest
        First and longest delay in seconds.
    """

    def __init__(self, first: float = 0.5, longest: float = 30) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def next_delay(self) -> float:
        """Return the next delay in seconds.

        Half of the delay is random, so that replicas reconnect at different times.
        """
        delay, self._next = self._next, min(self._next * 2, self._longest)
        return delay * random.uniform(0.5, 1)  # noqa: S311

    def reset(self) -> None:
        """Start with the first delay again. The caller calls this method after a success."""
        self._next = self._first
