"""The rule that maps a GitHub account to a POSIX user. docs/dev/identity.md has the table and the reasons."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

# GitHub's rule for logins, in lower case. Only logins of managed users contain `_`, before the short code of their
# enterprise.
LOGIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,38}")
# UIDs and GIDs that operating systems reserve: below 1000, and from 60000 (Debian) to 65535
RESERVED_RANGES = (range(1000), range(60000, 65536))
# If a GitHub id is a reserved number, or a UID or GID in the image, `posix_id` adds this offset to the id. All GitHub
# ids are smaller than the offset, because GitHub has about 300 million accounts.
MAPPED_OFFSET = 2_000_000_000
# Kubernetes stores runAsUser and runAsGroup as signed 32-bit numbers.
ID_MAX = 2**31 - 1
# NFS with AUTH_SYS transmits at most 16 supplementary groups. The NFS server would ignore all further groups of a user.
GROUPS_MAX = 16
PREFIX = "gh-"


class IdentityError(Exception):
    """Error for a GitHub account that cannot become a POSIX user. The message contains the reason."""


@dataclass(frozen=True)
class Account:
    """A user account at GitHub.

    Attributes
    ----------
    id
        Permanent number of the account. GitHub never uses the number for another account.
    login
        Name of the account in GitHub's spelling. The account's owner can change the name, and another account can then
        take the old name.
    """

    id: int
    login: str


@dataclass(frozen=True)
class Organization:
    """An organization at GitHub. Its id differs from all accounts' ids, because GitHub numbers both in one sequence."""

    id: int
    login: str


@dataclass(frozen=True)
class ReservedNames:
    """Users and groups in the passwd and group files of the lab's image.

    Attributes
    ----------
    ids
        All UIDs and GIDs in one set, because a lab's user needs a number that is free as a UID and as a GID.
    users, groups
        Names of the users, and names of the groups.
    """

    ids: frozenset[int] = frozenset()
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Group:
    """A POSIX group for the members of one GitHub organization."""

    name: str
    gid: int
    organization: Organization


@dataclass(frozen=True)
class Identity:
    """The POSIX user of a lab.

    Attributes
    ----------
    github_id, login
        Id and login of the GitHub account. The login has GitHub's spelling.
    name
        Name of the user and of the primary group.
    uid
        UID and primary GID. The folder of the user's home on the storage has the same number as its name.
    groups
        Supplementary groups, at most 16.
    dropped
        Organizations of the user without a group, because of the limit of 16 or because the organization's id cannot
        become a GID.
    """

    github_id: int
    login: str
    name: str
    uid: int
    groups: tuple[Group, ...] = ()
    dropped: tuple[Organization, ...] = ()

    @property
    def organizations(self) -> tuple[Organization, ...]:
        """All organizations of the user, with or without a group."""
        return tuple(group.organization for group in self.groups) + self.dropped

    def to_dict(self) -> dict[str, Any]:
        """Return the identity as a JSON-compatible dictionary, the form in which auth state contains the identity."""
        return asdict(self) | {
            "groups": [asdict(group) for group in self.groups],
            "dropped": [asdict(organization) for organization in self.dropped],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Identity:
        """Return the identity for a dictionary in the form that `to_dict` returns.

        Raises
        ------
        IdentityError
            Raised if the stored value has an unexpected format.
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
            raise IdentityError(f"the stored identity has an unexpected format: {error!r}") from error


def posix_id(github_id: int, taken: Collection[int]) -> int:
    """Return the UID or GID for a GitHub id: the id itself, or 2000000000 more if the id is reserved or taken.

    Raises
    ------
    IdentityError
        Raised if neither number is valid and free.
    """
    if not 0 < github_id < MAPPED_OFFSET:
        raise IdentityError(f"found the GitHub id {github_id}, wanted a number between 0 and {MAPPED_OFFSET}")
    if github_id not in taken and not any(github_id in numbers for numbers in RESERVED_RANGES):
        return github_id
    mapped = MAPPED_OFFSET + github_id
    if mapped > ID_MAX or mapped in taken:
        raise IdentityError(f"the GitHub id {github_id} is reserved or taken, and {mapped} is taken or too large")
    return mapped


def free_name(login: str, taken: Collection[str]) -> str:
    """Return the login, or `gh-<login>` if the image already has a user or group with this name.

    Also add the prefix `gh-` to a login that starts with `gh-`. Otherwise the accounts `docker` and `gh-docker` could
    both get the name `gh-docker`.
    """
    lowered = login.lower()
    return f"{PREFIX}{login}" if lowered in taken or lowered.startswith(PREFIX) else login


def user_name(login: str, taken: Collection[str]) -> str:
    """Return the user name for a GitHub login.

    Raises
    ------
    IdentityError
        Raised if the login is not a safe user name.
    """
    name = login.lower()
    if not LOGIN.fullmatch(name):
        raise IdentityError(
            "the GitHub login is not a user name: wanted a letter or digit, then up to 38 letters, digits, - and _"
        )
    return free_name(name, taken)


def build_groups(
    organizations: Iterable[Organization], preferred: Collection[str], reserved: ReservedNames
) -> tuple[tuple[Group, ...], tuple[Organization, ...]]:
    """Return the POSIX groups for a user's organizations, and the organizations that get no group."""
    by_id = {organization.id: organization for organization in organizations}
    kept: list[Group] = []
    dropped: list[Organization] = []
    for organization in sorted(by_id.values(), key=lambda each: (each.login.lower() not in preferred, each.id)):
        try:
            name, gid = free_name(organization.login, reserved.groups), posix_id(organization.id, reserved.ids)
        except IdentityError:  # without the group, the user can still log in
            dropped.append(organization)
            continue
        if len(kept) < GROUPS_MAX:
            kept.append(Group(name, gid, organization))
        else:
            dropped.append(organization)
    return tuple(kept), tuple(dropped)


def build_identity(
    account: Account, organizations: Iterable[Organization], preferred: Collection[str], reserved: ReservedNames
) -> Identity:
    """Return the POSIX user for a GitHub account.

    Parameters
    ----------
    organizations
        Organizations that the account is a member of, in any order.
    preferred
        Logins of the allowed organizations, in lower case. Their groups have priority.
    reserved
        Users and groups of the lab's image.

    Raises
    ------
    IdentityError
        Raised if the account cannot become a POSIX user.
    """
    groups, dropped = build_groups(organizations, preferred, reserved)
    return Identity(
        github_id=account.id,
        login=account.login,
        name=user_name(account.login, reserved.users | reserved.groups),
        uid=posix_id(account.id, reserved.ids),
        groups=groups,
        dropped=dropped,
    )
