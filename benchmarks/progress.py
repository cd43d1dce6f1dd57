"""Lines that show the progress of long benchmarks."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence


class Progress:
    """A printer of progress: after each step, it prints a line with an estimate of the remaining time.

    Parameters
    ----------
    weights
        Expected duration of each step relative to the other steps.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        self._weights = list(weights)
        self._done = 0
        self._start = time.monotonic()

    def finish(self, title: str) -> None:
        """Count the current step as done, and print the remaining time."""
        self._done += 1
        elapsed = time.monotonic() - self._start
        done, left = sum(self._weights[: self._done]), sum(self._weights[self._done :])
        minutes = elapsed * left / done / 60
        print(
            f"[{self._done} of {len(self._weights)}] {title}: about {minutes:.0f} min left", file=sys.stderr, flush=True
        )


def end_cleanly_on_sigterm() -> None:
    """Exit with a SystemExit at SIGTERM, so that context managers remove the objects that the benchmark has created."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
