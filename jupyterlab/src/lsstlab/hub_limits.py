"""The times after which the hub stops this lab, and the warnings before each stop. All functions are pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from lsstlab.errors import LabError
from lsstlab.notices import Notice, create_age_warning, create_idle_warning

REFRESH_INTERVAL = timedelta(seconds=15)
# Default time in seconds between SIGTERM and SIGKILL. Docker and JupyterHub's SimpleLocalProcessSpawner also use 10 s.
STOP_SECONDS = 10


class LimitError(LabError):
    """A wrong value of a limit. The message names the environment variable, its value and the accepted values."""


@dataclass(frozen=True)
class LabLimits:
    """The times after which the hub stops this lab.

    Attributes
    ----------
    idle
        Maximum time without use; None: no limit.
    age
        Maximum time since the start of the lab, even if the lab is in use; None: no limit.
    warning
        How long before the idle limit and the age limit the lab warns the user; None: no warning.
    stop
        Time between SIGTERM and SIGKILL. In this time, the kernels and programs of the lab can save.
    """

    idle: timedelta | None
    age: timedelta | None
    warning: timedelta | None
    stop: timedelta = timedelta(seconds=STOP_SECONDS)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> LabLimits:
        """Return the limits from the variables that the hub has set (testing/contracts/lab-environment.json).

        Raises
        ------
        LimitError
            Raised if a value is not a number of seconds.
        """
        return cls(
            idle=read_seconds(environ, "LAB_IDLE_SECONDS"),
            age=read_seconds(environ, "LAB_MAX_AGE_SECONDS"),
            warning=read_seconds(environ, "LAB_WARNING_SECONDS"),
            stop=read_seconds(environ, "LAB_STOP_SECONDS") or timedelta(seconds=STOP_SECONDS),
        )

    @property
    def exist(self) -> bool:
        """Whether the lab has an idle limit or an age limit."""
        return bool(self.idle or self.age)

    def is_nearing_idle_end(self, now: datetime, last_activity: datetime) -> bool:
        """Return whether the lab has been idle for more than half of the idle limit.

        After this time, `NoticeBoard` reports the next use to the hub at once.
        """
        return self.idle is not None and now >= last_activity + self.idle / 2

    def refresh_interval(self) -> timedelta:
        """Return the time between two checks for new notices: from 0.5 s to 15 s.

        With warnings, the time is a tenth of the shortest `warning_span`. Without warnings, the time is a twentieth of
        the shortest limit.
        """
        spans = [self.warning_span(limit) or limit / 2 for limit in (self.idle, self.age) if limit]
        return max(timedelta(seconds=0.5), min([REFRESH_INTERVAL, *(span / 10 for span in spans)]))

    def warning_span(self, limit: timedelta) -> timedelta:
        """Return how long before a limit the lab warns the user.

        The result is at most half of the limit. Otherwise users would see the warning most of the time.
        """
        return min(self.warning or timedelta(), limit / 2)

    def find_notices(self, now: datetime, started: datetime, last_activity: datetime) -> list[Notice]:
        """Return the warnings that the lab must show at the time `now`."""
        notices = []
        if self.idle and now >= last_activity + self.idle - self.warning_span(self.idle) and self.warning:
            idle = format_duration(now - last_activity)
            notices.append(create_idle_warning(idle, last_activity + self.idle))
        if self.age and now >= started + self.age - self.warning_span(self.age) and self.warning:
            age = format_duration(self.age)
            notices.append(create_age_warning(age, started + self.age))
        return notices


def read_seconds(environ: Mapping[str, str], name: str) -> timedelta | None:
    """Return the time in an environment variable, or None if the variable is missing or empty.

    Raises
    ------
    LimitError
        Raised if the value is not a whole number of seconds, 1 or more.
    """
    text = environ.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise LimitError(f"{name}: found {text[:20]!r}, wanted a whole number of seconds, 1 or more")
    return timedelta(seconds=int(text))


def format_duration(span: timedelta) -> str:
    """Return a duration in its two largest units, for example `3 h 45 min`."""
    minutes = round(span.total_seconds() / 60)
    if minutes < 1:
        return f"{round(span.total_seconds())} s"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "day" if days == 1 else "days"), (hours, "h"), (minutes, "min")]
    parts = [f"{count} {unit}" for count, unit in units if count]
    return " ".join(parts[:2])
