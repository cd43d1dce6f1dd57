"""Tests of the access rules, which decide who may log in."""

from __future__ import annotations

import pytest
from labhub.models.access_rules import Admission, Membership, Memberships, Rule, decide_admission, parse_rule

ORG, TEAM = Rule("lsst"), Rule("rubin", "pilots")
ACTIVE, PENDING, NONE, HIDDEN = Membership.ACTIVE, Membership.PENDING, Membership.NONE, Membership.HIDDEN


@pytest.mark.parametrize(
    ("text", "rule"),
    [("lsst", ORG), (" LSST ", ORG), ("Rubin:Pilots", TEAM), ("a:b_c.d", Rule("a", "b_c.d"))],
)
def test_an_entry_is_an_organization_or_one_of_its_teams(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize("text", ["", ":", "org:", ":team", "a:b:c", "a/b", "a b", "-a", "a;b"])
def test_invalid_entry_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        parse_rule(text)


@pytest.mark.parametrize(
    ("memberships", "teams", "expected"),
    [
        ({"lsst": ACTIVE}, set(), Admission.ADMITTED),
        ({"lsst": PENDING}, set(), Admission.PENDING),
        ({"lsst": NONE, "rubin": NONE}, set(), Admission.OUTSIDER),
        ({}, set(), Admission.OUTSIDER),
        ({"other": ACTIVE}, set(), Admission.OUTSIDER),
        ({"rubin": ACTIVE}, {"rubin:pilots"}, Admission.ADMITTED),
        ({"rubin": ACTIVE}, {"rubin:others", "lsst:pilots"}, Admission.OUTSIDER),
        ({"rubin": PENDING}, {"rubin:pilots"}, Admission.PENDING),
        ({"lsst": HIDDEN, "rubin": NONE}, set(), Admission.UNKNOWN),
        ({"lsst": HIDDEN, "rubin": PENDING}, set(), Admission.UNKNOWN),
        ({"lsst": HIDDEN, "rubin": ACTIVE}, {"rubin:pilots"}, Admission.ADMITTED),
    ],
)
def test_one_matching_rule_admits_a_user(
    memberships: dict[str, Membership], teams: set[str], expected: Admission
) -> None:
    assert decide_admission([ORG, TEAM], Memberships(memberships, frozenset(teams))) is expected


def test_no_user_is_admitted_without_a_rule() -> None:
    assert decide_admission([], Memberships({"lsst": ACTIVE})) is Admission.OUTSIDER
