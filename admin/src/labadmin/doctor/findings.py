"""The findings of checks: results, messages and fixes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Verdict:
    """The result of a check, with its message.

    Attributes
    ----------
    what
        One line: the state that the check found and, for a problem, the correct state. fix One line or a command that
        fixes the problem. Empty if there is no problem.
    """

    status: Status
    what: str
    fix: str = ""


@dataclass(frozen=True)
class Finding:
    """A verdict of one check."""

    group: str
    check: str
    verdict: Verdict


def ok(what: str) -> Verdict:
    """Return the verdict of a check that passed."""
    return Verdict(Status.OK, what)


def warn(what: str, fix: str) -> Verdict:
    """Return the verdict for a problem that does not stop users."""
    return Verdict(Status.WARNING, what, fix)


def fail(what: str, fix: str) -> Verdict:
    """Return the verdict for a problem that stops users now or later."""
    return Verdict(Status.FAILED, what, fix)


def skip(why: str) -> Verdict:
    """Return the verdict of a check that could not run, or does not apply."""
    return Verdict(Status.SKIPPED, why)
