"""Rules that decide who may log in and who is an administrator."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

ENTRY = re.compile(r"[a-z0-9][a-z0-9-]*(?::[a-z0-9_][a-z0-9._-]*)?")


class Membership(Enum):
    """GitHub's answer to the question whether one account is a member of one organization."""

    ACTIVE = "active"
    PENDING = "pending"
    """The account was invited to the organization, and has not accepted the invitation."""
    NONE = "none"
    HIDDEN = "hidden"
    """GitHub hides the membership: the organization has not approved the OAuth app, or requires single sign-on."""


class Admission(Enum):
    """The result of the access rules for one account."""

    ADMITTED = "admitted"
    PENDING = "pending"
    OUTSIDER = "outsider"
    UNKNOWN = "unknown"
    """GitHub hides a membership that the decision needs. The hub refuses a login, but does not end a session."""


@dataclass(frozen=True)
class Rule:
    """Rule that admits the members of an organization, or of one of its teams. Names and slugs are in lower case."""

    organization: str
    team: str | None = None

    def __str__(self) -> str:
        return f"{self.organization}:{self.team}" if self.team else self.organization


@dataclass(frozen=True)
class Memberships:
    """The memberships of one account in organizations and teams.

    Attributes
    ----------
    organizations
        Membership by the organization's login in lower case. Contains all organizations that the access rules name.
    teams
        Teams of which the account is a member, as `organization:slug` in lower case.
    """

    organizations: Mapping[str, Membership]
    teams: frozenset[str] = frozenset()


def parse_rule(text: str) -> Rule:
    """Parse an access rule, `org` or `org:team`, in upper or lower case.

    Raises
    ------
    ValueError
        Raised if the text is neither `org` nor `org:team`.
    """
    lowered = text.strip().lower()
    if not ENTRY.fullmatch(lowered):
        raise ValueError(f"{text!r} is neither org nor org:team")
    organization, _, team = lowered.partition(":")
    return Rule(organization, team or None)


def apply_rule(rule: Rule, memberships: Memberships) -> Admission:
    """Return the result of one access rule for an account with these memberships."""
    match memberships.organizations.get(rule.organization, Membership.NONE):
        case Membership.HIDDEN:
            return Admission.UNKNOWN
        case Membership.PENDING:
            return Admission.PENDING
        case Membership.ACTIVE if rule.team is None or str(rule) in memberships.teams:
            return Admission.ADMITTED
    return Admission.OUTSIDER


def decide_admission(rules: Iterable[Rule], memberships: Memberships) -> Admission:
    """Return the combined result of all access rules for an account with these memberships.

    If one rule admits the account, the account is admitted. Otherwise, if a membership is hidden, the result is
    `UNKNOWN` and not a refusal, because the account may be a member.
    """
    results = {apply_rule(rule, memberships) for rule in rules}
    for result in (Admission.ADMITTED, Admission.UNKNOWN, Admission.PENDING):
        if result in results:
            return result
    return Admission.OUTSIDER
