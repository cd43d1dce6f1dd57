"""Tests of the rule that maps a GitHub account to a POSIX user."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labhub.models.identity import (
    GROUPS_MAX,
    ID_MAX,
    MAPPED_OFFSET,
    Account,
    Group,
    Identity,
    IdentityError,
    Organization,
    ReservedNames,
    build_identity,
    free_name,
    posix_id,
    user_name,
)

IMAGE = ReservedNames(
    frozenset({0, 1, 33, 70000, 65534}), frozenset({"root", "www-data"}), frozenset({"docker", "staff"})
)
IDS = st.integers(1, MAPPED_OFFSET - 1) | st.sampled_from(
    [1, 999, 1000, 59999, 60000, 65535, 65536, 70000, MAPPED_OFFSET - 1]
)
LOGINS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9]|-(?=[A-Za-z0-9])){0,38}", fullmatch=True)
ORGANIZATIONS = st.lists(st.builds(Organization, IDS, LOGINS), max_size=30)


def number(github_id: int, taken: frozenset[int] = IMAGE.ids) -> int | None:
    try:
        return posix_id(github_id, taken)
    except IdentityError:
        return None


@pytest.mark.parametrize(
    ("github_id", "expected"),
    [
        (1, 2_000_000_001),
        (999, 2_000_000_999),
        (1000, 1000),
        (59999, 59999),
        (60000, 2_000_060_000),
        (65535, 2_000_065_535),
        (65536, 65536),
        (70000, 2_000_070_000),
        (1_999_999_999, 1_999_999_999),
        (2_000_000_000, None),
        (2_000_060_000, None),
        (0, None),
        (-5, None),
    ],
)
def test_uid_is_the_github_id_unless_reserved_or_taken(github_id: int, expected: int | None) -> None:
    assert number(github_id) == expected


def test_taken_uid_without_an_alternative_is_refused() -> None:
    assert number(70000, frozenset({70000, 2_000_070_000})) is None


def test_mapped_uid_above_the_kubernetes_limit_is_refused() -> None:
    assert number(1_500_000_000, frozenset({1_500_000_000})) is None


@given(st.lists(IDS, unique=True), st.frozensets(IDS))
def test_uids_are_unique_and_never_reserved(ids: list[int], taken: frozenset[int]) -> None:
    numbers = [uid for uid in (number(github_id, taken) for github_id in ids) if uid is not None]
    assert len(set(numbers)) == len(numbers)
    for uid in numbers:
        assert 1000 <= uid <= ID_MAX
        assert not 60000 <= uid <= 65535
        assert uid not in taken


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        ("Ada", "ada"),
        ("0-0", "0-0"),
        ("ada_corp", "ada_corp"),
        ("a" * 39, "a" * 39),
        ("root", "gh-root"),
        ("Docker", "gh-docker"),
        ("gh-root", "gh-gh-root"),
    ],
)
def test_a_user_name_is_the_login_in_lower_case(login: str, expected: str) -> None:
    assert user_name(login, IMAGE.users | IMAGE.groups) == expected


@pytest.mark.parametrize("login", ["", "-ada", "_ada", "a" * 40, "ada:0", "ada\n", "äda", "a/b", "..", "a b"])
def test_unsafe_login_is_refused(login: str) -> None:
    with pytest.raises(IdentityError):
        user_name(login, ())


@given(st.lists(LOGINS, unique_by=str.lower))
def test_user_names_are_unique(logins: list[str]) -> None:
    names = [free_name(login, IMAGE.groups) for login in [*logins, "docker", "gh-docker"] if login]
    assert len({name.lower() for name in names}) == len({login.lower() for login in [*logins, "docker", "gh-docker"]})


def test_a_group_name_is_not_cut_and_keeps_its_capitals() -> None:
    organization = Organization(5000, "LSST-" + "x" * 34)
    identity = build_identity(Account(1000, "ada"), [organization], (), IMAGE)
    assert identity.groups == (Group(organization.login, 5000, organization),)


@given(ORGANIZATIONS, st.frozensets(LOGINS.map(str.lower)), st.randoms())
def test_groups_are_limited_and_allowed_ones_come_first(
    organizations: list[Organization], first: frozenset[str], random: object
) -> None:
    first = first | {organization.login.lower() for organization in organizations[::5]}
    unique = list({organization.id: organization for organization in organizations}.values())
    identity = build_identity(Account(1000, "ada"), unique, first, IMAGE)
    assert len(identity.groups) <= GROUPS_MAX
    assert set(identity.organizations) == set(unique)
    kept = [(group.organization.login.lower() not in first, group.organization.id) for group in identity.groups]
    assert kept == sorted(kept)
    with_gid = [organization for organization in identity.dropped if number(organization.id) is not None]
    assert all((dropped.login.lower() not in first, dropped.id) > kept[-1] for dropped in with_gid)
    shuffled = list(unique)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert build_identity(Account(1000, "ada"), shuffled, first, IMAGE) == identity


def test_organization_without_a_gid_is_dropped() -> None:
    organization = Organization(MAPPED_OFFSET + 5, "too-new")
    identity = build_identity(Account(1000, "ada"), [organization], ("too-new",), IMAGE)
    assert (identity.groups, identity.dropped) == ((), (organization,))


@given(IDS.filter(lambda github_id: number(github_id) is not None), LOGINS, ORGANIZATIONS)
def test_identity_round_trip_through_json(github_id: int, login: str, organizations: list[Organization]) -> None:
    identity = build_identity(Account(github_id, login), organizations, (), IMAGE)
    assert Identity.from_dict(json.loads(json.dumps(identity.to_dict()))) == identity


@pytest.mark.parametrize("stored", [{}, {"github_id": 5}, {"github_id": "x", "groups": [], "dropped": []}])
def test_malformed_identity_is_refused(stored: dict[str, object]) -> None:
    with pytest.raises(IdentityError):
        Identity.from_dict(stored)
