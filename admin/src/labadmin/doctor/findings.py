"""What a check says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How it stands."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Verdict:
    """What a judge says.

    Attributes
    ----------
    what
        One line: what was found and, where it is wrong, what is wanted.
    fix
        One line, or a command; empty where nothing is to be done.
    """

    status: Status
    what: str
    fix: str = ""


@dataclass(frozen=True)
class Finding:
    """A verdict, and the check that it is of."""

    group: str
    check: str
    verdict: Verdict


def ok(what: str) -> Verdict:
    """Say that something is as it should be."""
    return Verdict(Status.OK, what)


def warn(what: str, fix: str) -> Verdict:
    """Say that something should be looked at; nobody is kept from working."""
    return Verdict(Status.WARNING, what, fix)


def fail(what: str, fix: str) -> Verdict:
    """Say that something is wrong."""
    return Verdict(Status.FAILED, what, fix)


def skip(why: str) -> Verdict:
    """Say that there was nothing to look at, and why."""
    return Verdict(Status.SKIPPED, why)
