"""Findings: what a check found, and the fix."""

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
    """The result of a check, in words.

    Attributes
    ----------
    what
        One line: what was found and, if it is wrong, what is wanted.
    fix
        One line or a command; empty if nothing has to be done.
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
    """Return a verdict for what is right."""
    return Verdict(Status.OK, what)


def warn(what: str, fix: str) -> Verdict:
    """Return a verdict for what should be examined, but stops no user."""
    return Verdict(Status.WARNING, what, fix)


def fail(what: str, fix: str) -> Verdict:
    """Return a verdict for what is wrong."""
    return Verdict(Status.FAILED, what, fix)


def skip(why: str) -> Verdict:
    """Return a verdict for what could not be checked."""
    return Verdict(Status.SKIPPED, why)
