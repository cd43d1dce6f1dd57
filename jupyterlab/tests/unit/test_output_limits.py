"""Tests of the classes that limit a kernel's output. These classes are pure, so the tests need no kernel."""

from __future__ import annotations

import pytest
from lsstlab.output_limits import (
    KEPT_MAX,
    KEPT_TEXT_MAX,
    UNSENT_MAX,
    UNSENT_TEXT_MAX,
    KeptOutput,
    OutputLimiter,
)

# The limiter of the tests allows 100 bytes of text and 10 messages per second, and ten times as much at once.
RATE, COUNT, WINDOW = 100, 10, 10


def make_limiter() -> OutputLimiter:
    return OutputLimiter(RATE, COUNT, WINDOW)


def test_text_passes_until_the_burst_is_used_up() -> None:
    limiter = make_limiter()
    assert limiter.check("stream", 600, 0, 0) == (600, "")
    granted, note = limiter.check("stream", 600, 0, 0)
    assert granted == 400
    assert "at once" in note
    assert limiter.check("stream", 600, 0, 0) == (0, "")


def test_text_passes_again_when_half_of_the_burst_has_refilled() -> None:
    limiter = make_limiter()
    limiter.check("stream", 2000, 0, 0)
    assert limiter.check("stream", 10, 0, 4.9) == (0, "")
    assert limiter.check("stream", 10, 0, 5.1) == (10, "")
    granted, note = limiter.check("stream", 2000, 0, 5.1)
    assert granted == 500
    assert note, "each gap has its note"


def test_slow_text_is_never_left_out() -> None:
    limiter = make_limiter()
    assert {limiter.check("stream", 90, 0, second) for second in range(1000)} == {(90, "")}


def test_the_next_cell_has_the_full_burst() -> None:
    limiter = make_limiter()
    limiter.check("stream", 2000, 0, 0)
    limiter.start_over()
    assert limiter.check("stream", 1000, 0, 0) == (1000, "")
    assert limiter.check("stream", 1000, 0, 0)[1]


def test_too_many_outputs_are_left_out() -> None:
    limiter = make_limiter()
    sent = [limiter.check("display_data", 1, 0, 0)[0] for _ in range(200)]
    assert sent == [1] * 100 + [0] * 100


@pytest.mark.parametrize("kind", ["status", "error", "execute_input", "execute_result"])
def test_the_end_and_the_result_of_a_cell_always_pass(kind: str) -> None:
    limiter = make_limiter()
    limiter.check("stream", 2000, 0, 0)
    assert limiter.check(kind, UNSENT_MAX, 2 * UNSENT_MAX, 0) == (UNSENT_MAX, "")


def test_a_figure_may_be_larger_than_the_text_limit() -> None:
    assert make_limiter().check("display_data", 5000, 0, 0) == (5000, "")


@pytest.mark.parametrize(("kind", "limit"), [("stream", UNSENT_TEXT_MAX), ("display_data", UNSENT_MAX)])
def test_slow_connection_gets_more_after_half_is_sent(kind: str, limit: int) -> None:
    limiter = make_limiter()
    assert limiter.check(kind, 1, limit - 1, 0) == (1, "")
    granted, note = limiter.check(kind, 1, limit, 0)
    assert granted == 0
    assert "network connection is slower" in note
    assert limiter.check(kind, 1, limit // 2 + 1, 1) == (0, "")
    assert limiter.check(kind, 1, limit // 2, 2) == (1, "")


def test_kept_messages_stay_in_order() -> None:
    kept = KeptOutput()
    sent = [("stream", "iopub"), ("display_data", "iopub"), (None, "shell"), ("error", "iopub"), ("stream", "iopub")]
    for number, (kind, channel) in enumerate(sent):
        kept.add(kind, channel, [b"%d" % number])
    assert kept.messages() == [(channel, [b"%d" % number]) for number, (_, channel) in enumerate(sent)]
    assert kept.first_left_out is None


@pytest.mark.parametrize(("kind", "limit"), [("stream", KEPT_TEXT_MAX), ("display_data", KEPT_MAX)])
def test_old_output_makes_room_for_new_output(kind: str, limit: int) -> None:
    kept, piece = KeptOutput(), bytes(limit // 8)
    kept.add("status", "iopub", [b"busy"])
    for number in range(20):
        kept.add(kind, "iopub", [b"%02d" % number, piece[2:]])
    kept.add("status", "iopub", [b"idle"])
    assert [parts[0] for _, parts in kept.messages()] == [b"busy", *(b"%d" % n for n in range(12, 20)), b"idle"]
    assert kept.first_left_out == [b"00", piece[2:]]


def test_a_single_output_that_is_too_large_is_not_kept() -> None:
    kept = KeptOutput()
    kept.add("stream", "iopub", [bytes(KEPT_TEXT_MAX + 1)])
    assert kept.messages() == []
    assert kept.first_left_out is not None
