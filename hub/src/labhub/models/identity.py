"""The rule that makes a POSIX user of a GitHub account.

Pure: no network, no files. `docs/dev/identity.md` has the table and the reasons.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

# GitHub's own rule for a login, and the `_` with which managed users end in their company's short name
LOGIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,38}")
# Numbers that systems keep for themselves: below 1000, and from Debian's 60000 to the 16-bit end.
RESERVED = (range(1000), range(60000, 65536))
# Where an account goes whose number is taken. GitHub is at 300 million accounts: no real id comes near it.
MAPPED = 2_000_000_000
# Kubernetes keeps runAsUser and runAsGroup in a signed 32-bit number.
LAST_ID = 2**31 - 1
# NFS carries no more supplementary groups (AUTH_SYS): the server would not see the others.
GROUPS_MAX = 16
PREFIX = "gh-"


class IdentityError(Exception):
    """An account cannot be a POSIX user; the message says why."""


@dataclass(frozen=True)
class Account:
    """A person at GitHub.

    Attributes
    ----------
    id
        Stays the same for ever, and is never given to anybody else.
    login
        As GitHub writes it. The owner may change it, and then somebody else may take it.
    """

    id: int
    login: str


@dataclass(frozen=True)
class Organization:
    """An organization at GitHub; its id comes out of the same sequence as the accounts'."""

    id: int
    login: str


@dataclass(frozen=True)
class Taken:
    """What the lab's image already has in its passwd and group files.

    Attributes
    ----------
    ids
        UIDs and GIDs together: the primary group has its user's number.
    users, groups
        Names.
    """

    ids: frozenset[int] = frozenset()
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Group:
    """A POSIX group, and the organization whose members are in it."""

    name: str
    gid: int
    organization: Organization


@dataclass(frozen=True)
class Identity:
    """Who somebody is in a lab.

    Attributes
    ----------
    github_id, login
        The account, its login as GitHub writes it.
    name
        User name, and name of the primary group.
    uid
        UID and primary GID; the home is keyed by it.
    groups
        Supplementary groups, at most 16.
    dropped
        Organizations for which there was no room.
    """

    github_id: int
    login: str
    name: str
    uid: int
    groups: tuple[Group, ...] = ()
    dropped: tuple[Organization, ...] = ()

    @property
    def organizations(self) -> tuple[Organization, ...]:
        """All organizations that were known when this was built."""
        return tuple(group.organization for group in self.groups) + self.dropped

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON for auth state."""
        return asdict(self) | {
            "groups": [asdict(group) for group in self.groups],
            "dropped": [asdict(organization) for organization in self.dropped],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Identity:
        """Read it back from auth state.

        Raises
        ------
        IdentityError
            It is not what `to_dict` writes.
        """
        try:
            groups = tuple(
                Group(str(group["name"]), int(group["gid"]), Organization(**group["organization"]))
                for group in stored["groups"]
            )
            return cls(
                github_id=int(stored["github_id"]),
                login=str(stored["login"]),
                name=str(stored["name"]),
                uid=int(stored["uid"]),
                groups=groups,
                dropped=tuple(Organization(**organization) for organization in stored["dropped"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise IdentityError(f"an identity of another shape: {error!r}") from error


def posix_id(github_id: int, taken: Collection[int]) -> int:
    """Give the UID or GID of an account or organization: its id, or above 2000000000 where that is taken.

    Raises
    ------
    IdentityError
        There is no number for it.
    """
    if not 0 < github_id < MAPPED:
        raise IdentityError(f"the GitHub id {github_id} is not between 0 and {MAPPED}")
    if github_id not in taken and not any(github_id in numbers for numbers in RESERVED):
        return github_id
    mapped = MAPPED + github_id
    if mapped > LAST_ID or mapped in taken:
        raise IdentityError(f"the GitHub id {github_id} and {mapped} are both taken")
    return mapped


def free_name(login: str, taken: Collection[str]) -> str:
    """Give the login, or `gh-<login>` where the image has that name.

    A login that begins with `gh-` gets another one, else `gh-docker` and `docker` could be the same.
    """
    lowered = login.lower()
    return f"{PREFIX}{login}" if lowered in taken or lowered.startswith(PREFIX) else login


def user_name(login: str, taken: Collection[str]) -> str:
    """Give the user name for a login.

    Raises
    ------
    IdentityError
        It would not be a safe user name.
    """
    name = login.lower()
    if not LOGIN.fullmatch(name):
        raise IdentityError(
            "the GitHub login is not made of letters, digits, - and _, at most 39, none of the last two first"
        )
    return free_name(name, taken)


def build_groups(
    organizations: Iterable[Organization], first: Collection[str], taken: Taken
) -> tuple[tuple[Group, ...], tuple[Organization, ...]]:
    """Give the groups of some organizations, and the organizations for which there is no room."""
    by_id = {organization.id: organization for organization in organizations}
    kept: list[Group] = []
    dropped: list[Organization] = []
    for one in sorted(by_id.values(), key=lambda one: (one.login.lower() not in first, one.id)):
        try:
            group = Group(free_name(one.login, taken.groups), posix_id(one.id, taken.ids), one)
        except IdentityError:  # an organization without a number must not keep its members out
            dropped.append(one)
            continue
        if len(kept) < GROUPS_MAX:
            kept.append(group)
        else:
            dropped.append(one)
    return tuple(kept), tuple(dropped)


def build_identity(
    account: Account, organizations: Iterable[Organization], first: Collection[str], taken: Taken
) -> Identity:
    """Apply the rule.

    Parameters
    ----------
    account
        The person.
    organizations
        Where they are a member, in any order.
    first
        Logins, lower case, of the organizations whose groups are kept before all others: the allow-listed.
    taken
        What the image has.

    Raises
    ------
    IdentityError
        The account cannot be a POSIX user.
    """
    groups, dropped = build_groups(organizations, first, taken)
    return Identity(
        github_id=account.id,
        login=account.login,
        name=user_name(account.login, taken.users | taken.groups),
        uid=posix_id(account.id, taken.ids),
        groups=groups,
        dropped=dropped,
    )
