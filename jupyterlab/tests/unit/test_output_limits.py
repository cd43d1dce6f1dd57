"""Tests of the classes that limit a kernel's output. These classes are pure, so the tests need no kernel."""

from __future__ import annotations

import pytest
from lsstlab.output_limits import (
    KEPT_COUNT_MAX,
    KEPT_MAX,
    KEPT_TEXT_MAX,
    KEPT_WIDGETS_MAX,
    UNSENT_MAX,
    UNSENT_TEXT_MAX,
    KeptOutput,
    OutputLimiter,
    Unsent,
)
from lsstlab.server_limits import BURST_SECONDS, OUTPUTS_PER_SECOND, TEXT_BYTES_PER_SECOND

# The limiter of the tests allows 100 bytes of text and 10 messages per second, and ten times as much at once.
RATE, COUNT, WINDOW = 100, 10, 10
NOTHING = Unsent()


def make_limiter() -> OutputLimiter:
    return OutputLimiter(RATE, COUNT, WINDOW)


def test_text_passes_until_the_burst_is_used_up() -> None:
    limiter = make_limiter()
    assert limiter.check("stream", 600, NOTHING, 0) == (600, "")
    granted, note = limiter.check("stream", 600, NOTHING, 0)
    assert granted == 400
    assert "at once" in note
    assert limiter.check("stream", 600, NOTHING, 0) == (0, "")


def test_text_passes_again_when_half_of_the_burst_has_refilled() -> None:
    limiter = make_limiter()
    limiter.check("stream", 2000, NOTHING, 0)
    assert limiter.check("stream", 10, NOTHING, 4.9) == (0, "")
    assert limiter.check("stream", 10, NOTHING, 5.1) == (10, "")
    granted, note = limiter.check("stream", 2000, NOTHING, 5.1)
    assert granted == 500
    assert note, "each gap has its note"


def test_slow_text_is_never_left_out() -> None:
    limiter = make_limiter()
    assert {limiter.check("stream", 90, NOTHING, second) for second in range(1000)} == {(90, "")}


def test_the_next_cell_has_the_full_burst() -> None:
    limiter = make_limiter()
    limiter.check("stream", 2000, NOTHING, 0)
    limiter.start_over()
    assert limiter.check("stream", 1000, NOTHING, 0) == (1000, "")
    assert limiter.check("stream", 1000, NOTHING, 0)[1]


def test_too_many_outputs_are_left_out() -> None:
    limiter = make_limiter()
    sent = [limiter.check("display_data", 1, NOTHING, 0)[0] for _ in range(200)]
    assert sent == [1] * 100 + [0] * 100


@pytest.mark.parametrize(
    "kind", ["status", "error", "execute_input", "execute_result", "comm_open", "comm_msg", "comm_close"]
)
def test_results_and_messages_of_widgets_always_pass(kind: str) -> None:
    limiter = make_limiter()
    limiter.check("stream", 2000, NOTHING, 0)
    for _ in range(2 * COUNT * WINDOW):
        assert limiter.check(kind, UNSENT_MAX, Unsent(2 * UNSENT_MAX), 0) == (UNSENT_MAX, "")


def test_a_figure_may_be_larger_than_the_text_limit() -> None:
    assert make_limiter().check("display_data", 5000, NOTHING, 0) == (5000, "")


@pytest.mark.parametrize(("kind", "limit"), [("stream", UNSENT_TEXT_MAX), ("display_data", UNSENT_MAX)])
def test_slow_connection_gets_more_after_half_is_sent(kind: str, limit: int) -> None:
    limiter = make_limiter()
    assert limiter.check(kind, 1, Unsent(limit - 1, limit - 1), 0) == (1, "")
    granted, note = limiter.check(kind, 1, Unsent(limit, limit), 0)
    assert granted == 0
    assert "network connection is slower" in note
    assert limiter.check(kind, 1, Unsent(limit // 2 + 1, limit // 2 + 1), 1) == (0, "")
    assert limiter.check(kind, 1, Unsent(limit // 2, limit // 2), 2) == (1, "")


def test_waiting_figures_do_not_count_as_text() -> None:
    limiter = make_limiter()
    assert limiter.check("stream", 1, Unsent(UNSENT_MAX - 1), 0) == (1, "")
    assert limiter.check("stream", 1, Unsent(UNSENT_MAX), 0)[0] == 0


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


def test_messages_of_widgets_do_not_replace_figures() -> None:
    kept = KeptOutput()
    kept.add("display_data", "iopub", [bytes(KEPT_MAX)])
    for number in range(KEPT_COUNT_MAX + 1):
        kept.add("comm_msg", "iopub", [b"%d" % number])
    assert len(kept.messages()) == 1 + KEPT_COUNT_MAX
    assert kept.messages()[-1] == ("iopub", [b"%d" % KEPT_COUNT_MAX])
    assert kept.first_left_out is None, "the page reads the states of widgets from the kernel"


def test_a_page_gets_all_that_was_kept_for_it() -> None:
    kept = KeptOutput()
    figure, text = bytes(KEPT_MAX // KEPT_COUNT_MAX), bytes(KEPT_TEXT_MAX // KEPT_COUNT_MAX)
    for _ in range(2 * KEPT_COUNT_MAX):
        kept.add("display_data", "iopub", [b"display_data", figure])
        kept.add("stream", "iopub", [b"stream", text])
        kept.add("comm_msg", "iopub", [b"comm_msg", bytes(KEPT_WIDGETS_MAX // 100)])
    limiter, unsent = OutputLimiter(TEXT_BYTES_PER_SECOND, OUTPUTS_PER_SECOND, BURST_SECONDS), Unsent()
    for _, (kind, body) in kept.messages():
        assert limiter.check(kind.decode(), len(body), unsent, 0) == (len(body), "")
        unsent.add(len(body), is_text=kind == b"stream")
