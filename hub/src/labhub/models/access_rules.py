"""Whose members may come in, and who is an administrator."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

ENTRY = re.compile(r"[a-z0-9][a-z0-9-]*(?::[a-z0-9_][a-z0-9._-]*)?")


class Membership(Enum):
    """What GitHub says about one person and one organization."""

    ACTIVE = "active"
    PENDING = "pending"
    """Invited, and has not accepted."""
    NONE = "none"
    HIDDEN = "hidden"
    """GitHub does not tell: the organization has not approved the app, or wants single sign-on."""


class Admission(Enum):
    """Whether somebody may come in."""

    ADMITTED = "admitted"
    PENDING = "pending"
    OUTSIDER = "outsider"
    UNKNOWN = "unknown"
    """GitHub does not tell, so it is no reason to take anything away."""


@dataclass(frozen=True)
class Rule:
    """An entry of a list: an organization, or one of its teams by its slug; lower case."""

    organization: str
    team: str | None = None

    def __str__(self) -> str:
        return f"{self.organization}:{self.team}" if self.team else self.organization


@dataclass(frozen=True)
class Standing:
    """Where somebody is a member.

    Attributes
    ----------
    memberships
        By the organization's login, lower case; of the organizations that rules name all are there.
    teams
        `organization:slug`, lower case.
    """

    memberships: Mapping[str, Membership]
    teams: frozenset[str] = frozenset()


def parse_rule(text: str) -> Rule:
    """Read `org` or `org:team`, in any case.

    Raises
    ------
    ValueError
        It is neither.
    """
    lowered = text.strip().lower()
    if not ENTRY.fullmatch(lowered):
        raise ValueError(f"{text!r} is neither org nor org:team")
    organization, _, team = lowered.partition(":")
    return Rule(organization, team or None)


def satisfies(rule: Rule, standing: Standing) -> Admission:
    """Tell what one rule says about somebody."""
    match standing.memberships.get(rule.organization, Membership.NONE):
        case Membership.HIDDEN:
            return Admission.UNKNOWN
        case Membership.PENDING:
            return Admission.PENDING
        case Membership.ACTIVE if rule.team is None or str(rule) in standing.teams:
            return Admission.ADMITTED
    return Admission.OUTSIDER


def admit(rules: Iterable[Rule], standing: Standing) -> Admission:
    """Tell whether somebody may come in: one rule that admits is enough, and a hidden one may be that one."""
    answers = {satisfies(rule, standing) for rule in rules}
    for answer in (Admission.ADMITTED, Admission.UNKNOWN, Admission.PENDING):
        if answer in answers:
            return answer
    return Admission.OUTSIDER
