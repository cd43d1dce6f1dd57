"""Who the owner of a token is, and whether they may come in: asked at a login and again while they are in."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from labhub.models.access_rules import Admission, Membership, Rule, Standing, admit, satisfies
from labhub.login.github import GitHub, Person
from labhub.models.identity import Account, Identity, IdentityError, Organization, build_identity
from labhub.settings.login import Settings


@dataclass(frozen=True)
class Finding:
    """What became known about somebody.

    Attributes
    ----------
    identity
        None: the account cannot be a POSIX user.
    admin
        Whether they are an administrator of the hub.
    """

    account: Account
    admission: Admission
    identity: Identity | None
    admin: bool


def disregard(standing: Standing, before: Collection[str]) -> Standing:
    """Take hidden organizations where somebody was not a member before for ones where they are none.

    Else an allow-listed organization that never approves the app would leave open, of everybody, whether they
    are in it, and nobody could be removed.
    """
    memberships = {
        login: Membership.NONE if found is Membership.HIDDEN and login not in before else found
        for login, found in standing.memberships.items()
    }
    return replace(standing, memberships=memberships)


class Examiner:
    """Holds GitHub's answers against the settings."""

    def __init__(self, github: GitHub, settings: Settings) -> None:
        self.github = github
        self.settings = settings
        self._teams = {admin for admin in settings.admins if isinstance(admin, Rule)}

    async def examine(self, token: str, known: Iterable[Organization] = ()) -> Finding:
        """Ask GitHub, and decide.

        Parameters
        ----------
        token
            The person's.
        known
            Where they were a member when last asked.

        Raises
        ------
        GitHubError
            GitHub gave no answer to decide on.
        """
        known = tuple(known)
        before = {organization.login.lower() for organization in known}
        person = await self.github.fetch_person(token, self._teams.union(self.settings.allowed), known)
        standing = disregard(person.standing, before) if before else person.standing
        return Finding(
            person.account,
            admit(self.settings.allowed, standing),
            self._identify(person),
            person.account.id in self.settings.admins
            or any(satisfies(team, standing) is Admission.ADMITTED for team in self._teams),
        )

    def _identify(self, person: Person) -> Identity | None:
        first = {rule.organization for rule in self.settings.allowed}
        try:
            return build_identity(person.account, person.organizations, first, self.settings.taken)
        except IdentityError:
            return None
