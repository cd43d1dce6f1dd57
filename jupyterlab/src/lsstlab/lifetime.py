"""When the hub stops this lab, and what its user is told before: from numbers to words, no clock and no server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any


class LifetimeError(Exception):
    """A limit is wrong; the message names it, what was found and what is wanted."""


@dataclass(frozen=True)
class Notice:
    """What a lab tells its user.

    Attributes
    ----------
    id
        The same for as long as it is the same news.
    level
        `warning` or `error`: how JupyterLab shows it.
    text
        With `{time}` where the time stands, which each reader wants in their own zone.
    time
        When the lab stops.
    use_helps
        It goes away when somebody uses the lab.
    """

    id: str
    level: str
    text: str
    time: datetime | None = None
    use_helps: bool = False

    def model(self) -> dict[str, Any]:
        """Give it as JSON takes it."""
        return asdict(self) | {"time": self.time.isoformat() if self.time else None}

    def line(self) -> str:
        """Give it as one line of a terminal."""
        return self.text.replace("{time}", f"{self.time.astimezone():%H:%M %Z}" if self.time else "")


@dataclass(frozen=True)
class Lifetime:
    """How long the hub lets this lab run.

    Attributes
    ----------
    idle
        So long without activity; None: as long as it likes.
    age
        So long after its start, whatever it does; None: as long as it likes.
    warning
        So long before either its user is told; None: never.
    """

    idle: timedelta | None
    age: timedelta | None
    warning: timedelta | None

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Lifetime:
        """Read it from what the hub gave (testing/contracts/lab-environment.json).

        Raises
        ------
        LifetimeError
            The first value that is wrong.
        """
        return cls(
            idle=read_seconds(environ, "LAB_IDLE_SECONDS"),
            age=read_seconds(environ, "LAB_MAX_AGE_SECONDS"),
            warning=read_seconds(environ, "LAB_WARNING_SECONDS"),
        )

    @property
    def ends(self) -> bool:
        """Whether the hub ever stops the lab by itself."""
        return bool(self.idle or self.age)

    def is_nearing_idle_end(self, now: datetime, last_activity: datetime) -> bool:
        """Tell whether the hub has to hear at once if the lab is used again: half of its time without use is over."""
        return self.idle is not None and now >= last_activity + self.idle / 2

    def look_interval(self) -> timedelta:
        """Give how often to look whether there is something to tell the user or the hub."""
        spans = [self.warned_before(span) or span / 2 for span in (self.idle, self.age) if span]
        return max(timedelta(seconds=0.5), min([LOOK_INTERVAL, *(span / 10 for span in spans)]))

    def warned_before(self, span: timedelta) -> timedelta:
        """Give how long before its end a span is warned of: at most half of it, or one would be warned always."""
        return min(self.warning or timedelta(), span / 2)

    def notices(self, now: datetime, started: datetime, last_activity: datetime) -> list[Notice]:
        """Give what is to be told now."""
        notices = []
        if self.idle and now >= last_activity + self.idle - self.warned_before(self.idle) and self.warning:
            idle = in_words(now - last_activity)
            text = f"This lab has been idle for {idle}. It stops at {{time}} unless you use it."
            notices.append(make_notice("idle", text, last_activity + self.idle, use_helps=True))
        if self.age and now >= started + self.age - self.warned_before(self.age) and self.warning:
            age = in_words(self.age)
            text = f"This lab stops at {{time}}, whatever runs in it: none runs for more than {age}. Save your work."
            notices.append(make_notice("age", text, started + self.age))
        return notices


LOOK_INTERVAL = timedelta(seconds=15)


def make_notice(kind: str, text: str, end: datetime, *, use_helps: bool = False) -> Notice:
    """Make a warning; when the end moves it is another one."""
    return Notice(f"{kind}-{end.timestamp():.0f}", "warning", text, end, use_helps)


def read_seconds(environ: Mapping[str, str], name: str) -> timedelta | None:
    """Read a limit: missing or empty means that there is none."""
    text = environ.get(name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise LifetimeError(f"{name}: found {text[:20]!r}, wanted seconds: a whole number, 1 or more")
    return timedelta(seconds=int(text))


def in_words(span: timedelta) -> str:
    """Give a span of time as people say it, its two greatest units."""
    minutes = round(span.total_seconds() / 60)
    if minutes < 1:
        return f"{round(span.total_seconds())} s"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "day" if days == 1 else "days"), (hours, "h"), (minutes, "min")]
    said = [f"{count} {unit}" for count, unit in units if count]
    return " ".join(said[:2])
