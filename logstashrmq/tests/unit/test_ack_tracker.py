"""Tests of the acknowledgements of one connection: their order, keep-alives, and the limit on open windows."""

from __future__ import annotations

import asyncio

import pytest
from beatsrelay.beats.ack_tracker import AckTracker, WindowPart


class RecordedTracker:
    """A tracker with a simulated clock. It records its acknowledgements instead of sending them.

    Attributes
    ----------
    acks
        Sequence numbers that were sent.
    seconds
        Current time of the simulated clock, in seconds.
    """

    def __init__(self) -> None:
        self.acks: list[int] = []
        self.seconds = 0.0
        self.tracker = AckTracker(self.acks.append, lambda _: None, clock=lambda: self.seconds)

    def add(self, sequence: int, *, last: bool) -> WindowPart:
        """Add a part of a window, which arrives at the current time of the simulated clock."""
        part = WindowPart(sequence, last, started=self.seconds)
        self.tracker.add(part)
        return part


@pytest.fixture
def recorded() -> RecordedTracker:
    """Return a tracker whose acknowledgements are recorded."""
    return RecordedTracker()


@pytest.mark.asyncio
async def test_windows_are_acknowledged_completely_and_in_order(recorded: RecordedTracker) -> None:
    first, second, third = recorded.add(3, last=False), recorded.add(5, last=True), recorded.add(2, last=True)
    recorded.tracker.confirm(third)
    recorded.tracker.confirm(second)
    assert recorded.acks == []
    recorded.tracker.confirm(first)
    assert recorded.acks == [5, 2]


@pytest.mark.asyncio
async def test_keepalive_acknowledges_part_of_the_first_window(recorded: RecordedTracker) -> None:
    first, second, third = recorded.add(3, last=False), recorded.add(5, last=True), recorded.add(2, last=False)
    assert recorded.tracker.send_keepalive(0)
    recorded.tracker.confirm(first)
    recorded.tracker.confirm(third)
    assert recorded.tracker.send_keepalive(0)
    recorded.tracker.confirm(second)
    assert recorded.acks == [0, 3, 5]
    assert recorded.tracker.send_keepalive(0), "the next window is now the first one"
    assert recorded.acks[-1] == 2
    assert not recorded.tracker.send_keepalive(60), "an acknowledgement was sent just now"


@pytest.mark.asyncio
async def test_third_window_waits_for_an_acknowledgement(recorded: RecordedTracker) -> None:
    first = recorded.add(1, last=True)
    assert not recorded.tracker.is_full
    recorded.add(1, last=True)
    waiting = asyncio.ensure_future(recorded.tracker.wait_until_not_full())
    await asyncio.sleep(0)
    assert not waiting.done()
    recorded.tracker.confirm(first)
    await asyncio.wait_for(waiting, 1)


@pytest.mark.asyncio
async def test_keepalive_is_sent_while_waiting_for_capacity(recorded: RecordedTracker) -> None:
    assert not recorded.tracker.send_keepalive(0), "the peer has sent nothing"
    with recorded.tracker.waiting_for_capacity():
        assert recorded.tracker.send_keepalive(0)
    assert recorded.acks == [0]
    assert not recorded.tracker.send_keepalive(0)


def test_keepalives_are_sent_while_parts_wait_in_turn(recorded: RecordedTracker) -> None:
    tracker = recorded.tracker
    previous: WindowPart | None = None
    for sequence in range(1, 11):
        with tracker.waiting_for_capacity():
            if previous:
                tracker.confirm(previous)
            recorded.seconds += 2
            tracker.send_keepalive(5)
        previous = WindowPart(sequence, last=False, started=tracker.wait_started)
        tracker.add(previous)
    assert recorded.acks == [2, 5, 8]
