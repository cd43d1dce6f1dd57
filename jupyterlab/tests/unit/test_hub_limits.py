"""Tests of the warnings before the hub stops a lab: when the lab shows them, and their texts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from lsstlab.hub_limits import LabLimits, LimitError, format_duration

START = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMITS = {"LAB_IDLE_SECONDS": "14400", "LAB_MAX_AGE_SECONDS": "86400", "LAB_WARNING_SECONDS": "900"}


def find_texts(limits: dict[str, str], now: datetime, last_activity: datetime) -> list[str]:
    """Return the texts of the warnings that a lab shows at the time `now`. The lab has started at START."""
    notices = LabLimits.from_environment(limits).find_notices(now, START, last_activity)
    return [notice.text.replace("{time}", f"{notice.time:%H:%M}") for notice in notices]


def test_idle_warning_precedes_the_limit() -> None:
    assert find_texts(LIMITS, START + HOUR * 3.74, START) == []
    assert find_texts(LIMITS, START + HOUR * 3.75, START) == [
        "This lab has been idle for 3 h 45 min. It stops at 12:00 unless you use it."
    ]
    assert find_texts(LIMITS, START + HOUR * 3.75, START + HOUR) == []


def test_age_warning_appears_during_use() -> None:
    now = START + HOUR * 23.8
    assert find_texts(LIMITS, now, now) == [
        "This lab stops at 08:00, even if code is running: labs may run for at most 1 day. Save your work."
    ]


def test_a_warning_shows_for_half_of_the_limit_at_most() -> None:
    limits = {"LAB_IDLE_SECONDS": "600", "LAB_WARNING_SECONDS": "900"}
    assert find_texts(limits, START + timedelta(seconds=299), START) == []
    assert find_texts(limits, START + timedelta(seconds=300), START) != []


@pytest.mark.parametrize(
    "limits", [{}, {"LAB_WARNING_SECONDS": "900"}, {"LAB_IDLE_SECONDS": "60", "LAB_MAX_AGE_SECONDS": "60"}]
)
def test_without_a_limit_or_a_warning_there_is_no_notice(limits: dict[str, str]) -> None:
    assert find_texts(limits, START + HOUR * 1000, START) == []


def test_a_notice_keeps_its_id_until_the_end_moves() -> None:
    limits = LabLimits.from_environment(LIMITS)
    first, later, moved = (
        limits.find_notices(now, START, used)[0].id
        for now, used in [
            (START + HOUR * 3.8, START),
            (START + HOUR * 3.9, START),
            (START + HOUR * 7.8, START + HOUR * 4),
        ]
    )
    assert first == later != moved


@pytest.mark.parametrize(
    ("limits", "seconds"), [({}, 15), (LIMITS, 15), ({"LAB_IDLE_SECONDS": "60"}, 3), ({"LAB_IDLE_SECONDS": "2"}, 0.5)]
)
def test_the_refresh_interval_fits_a_short_limit(limits: dict[str, str], seconds: float) -> None:
    assert LabLimits.from_environment(limits).refresh_interval() == timedelta(seconds=seconds)


@pytest.mark.parametrize(("limits", "from_minute"), [({}, None), (LIMITS, 120), ({"LAB_IDLE_SECONDS": "600"}, 5)])
def test_idle_end_is_near_after_half_of_the_limit(limits: dict[str, str], from_minute: int | None) -> None:
    lab = LabLimits.from_environment(limits)
    urgent = [minute for minute in range(240) if lab.is_nearing_idle_end(START + minute * HOUR / 60, START)]
    assert urgent == ([] if from_minute is None else list(range(from_minute, 240)))


@pytest.mark.parametrize("value", ["0", "-1", "4h", "1.5", "٤", "9" * 5000])
def test_a_wrong_limit_is_named(value: str) -> None:
    with pytest.raises(LimitError, match=r"LAB_IDLE_SECONDS: found .* wanted a whole number of seconds"):
        LabLimits.from_environment({"LAB_IDLE_SECONDS": value})


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(20, "20 s"), (60, "1 min"), (3600, "1 h"), (13500, "3 h 45 min"), (86400, "1 day"), (200000, "2 days 7 h")],
)
def test_a_duration_has_its_two_largest_units(seconds: int, words: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == words


def test_warnings_fit_into_jupyterlabs_notifications() -> None:
    limits = LabLimits.from_environment({name: str(59 * 60 + 23 * 3600 + 999 * 86400) for name in LIMITS})
    (idle, age) = limits.find_notices(START + HOUR * 100000, START, START)
    assert max(len(notice.text.replace("{time}", "12/31/2026, 11:59:59 PM")) for notice in (idle, age)) <= 140
