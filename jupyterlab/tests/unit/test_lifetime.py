"""When a lab warns, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from lsstlab.lifetime import Lifetime, LifetimeError, in_words

START = datetime(2026, 1, 1, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIMITS = {"LAB_IDLE_SECONDS": "14400", "LAB_MAX_AGE_SECONDS": "86400", "LAB_WARNING_SECONDS": "900"}


def told(limits: dict[str, str], now: datetime, last_activity: datetime) -> list[str]:
    """Give what a lab that was started at START tells, as a terminal in UTC shows it."""
    notices = Lifetime.read(limits).notices(now, START, last_activity)
    return [notice.text.replace("{time}", f"{notice.time:%H:%M}") for notice in notices]


def test_it_warns_of_idleness_so_long_before_its_end() -> None:
    assert told(LIMITS, START + HOUR * 3.74, START) == []
    assert told(LIMITS, START + HOUR * 3.75, START) == [
        "This lab has been idle for 3 h 45 min. It stops at 12:00 unless you use it."
    ]
    assert told(LIMITS, START + HOUR * 3.75, START + HOUR) == []


def test_it_warns_of_its_age_whatever_happens() -> None:
    now = START + HOUR * 23.8
    assert told(LIMITS, now, now) == [
        "This lab stops at 08:00, whatever runs in it: none runs for more than 1 day. Save your work."
    ]


def test_a_warning_longer_than_the_limit_does_not_show_all_the_time() -> None:
    limits = {"LAB_IDLE_SECONDS": "600", "LAB_WARNING_SECONDS": "900"}
    assert told(limits, START + timedelta(seconds=299), START) == []
    assert told(limits, START + timedelta(seconds=300), START) != []


@pytest.mark.parametrize(
    "limits", [{}, {"LAB_WARNING_SECONDS": "900"}, {"LAB_IDLE_SECONDS": "60", "LAB_MAX_AGE_SECONDS": "60"}]
)
def test_without_a_limit_or_a_warning_it_says_nothing(limits: dict[str, str]) -> None:
    assert told(limits, START + HOUR * 1000, START) == []


def test_a_notice_keeps_its_name_until_the_end_moves() -> None:
    lifetime = Lifetime.read(LIMITS)
    first, later, moved = (
        lifetime.notices(now, START, used)[0].id
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
def test_it_looks_often_enough_for_a_short_limit_too(limits: dict[str, str], seconds: float) -> None:
    assert Lifetime.read(limits).look_interval() == timedelta(seconds=seconds)


@pytest.mark.parametrize(("limits", "from_minute"), [({}, None), (LIMITS, 120), ({"LAB_IDLE_SECONDS": "600"}, 5)])
def test_use_is_urgent_news_once_half_of_the_time_without_is_over(
    limits: dict[str, str], from_minute: int | None
) -> None:
    lifetime = Lifetime.read(limits)
    urgent = [minute for minute in range(240) if lifetime.is_nearing_idle_end(START + minute * HOUR / 60, START)]
    assert urgent == ([] if from_minute is None else list(range(from_minute, 240)))


@pytest.mark.parametrize("value", ["0", "-1", "4h", "1.5", "٤", "9" * 5000])
def test_an_odd_limit_is_named(value: str) -> None:
    with pytest.raises(LifetimeError, match=r"LAB_IDLE_SECONDS: found .* wanted seconds"):
        Lifetime.read({"LAB_IDLE_SECONDS": value})


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(20, "20 s"), (60, "1 min"), (3600, "1 h"), (13500, "3 h 45 min"), (86400, "1 day"), (200000, "2 days 7 h")],
)
def test_spans_are_said_as_people_say_them(seconds: int, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words


def test_warnings_are_no_longer_than_jupyterlab_shows() -> None:
    lifetime = Lifetime.read({name: str(59 * 60 + 23 * 3600 + 999 * 86400) for name in LIMITS})
    (idle, age) = lifetime.notices(START + HOUR * 100000, START, START)
    assert max(len(notice.text.replace("{time}", "12/31/2026, 11:59:59 PM")) for notice in (idle, age)) <= 140
