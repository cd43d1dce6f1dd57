"""Evaluation of the access of a token's owner, at a login and at each re-check."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from labhub.login.github import GitHub, GitHubUser
from labhub.models.access_rules import Admission, Membership, Memberships, Rule, apply_rule, decide_admission
from labhub.models.identity import Account, Identity, IdentityError, Organization, build_identity
from labhub.settings.login import LoginSettings


@dataclass(frozen=True)
class AccessDecision:
    """The access decision about one account.

    Attributes
    ----------
    identity
        POSIX user, or None if the account cannot become a POSIX user.
    admin
        Whether the user is an administrator of the hub.
    """

    account: Account
    admission: Admission
    identity: Identity | None
    admin: bool


def ignore_hidden(memberships: Memberships, known: Collection[str]) -> Memberships:
    """Return the memberships, with `NONE` for each hidden organization of which the user was not a member before.

    `known` contains the logins of the organizations of which the user was a member at the last decision.

    Without this rule, an allowed organization that never approves the OAuth app would make every user's membership
    unknown, and no user could lose access.
    """
    organizations = {
        login: Membership.NONE if membership is Membership.HIDDEN and login not in known else membership
        for login, membership in memberships.organizations.items()
    }
    return replace(memberships, organizations=organizations)


class AccessEvaluator:
    """Evaluator that applies the access rules of the settings to GitHub's answers."""

    def __init__(self, github: GitHub, settings: LoginSettings) -> None:
        self.github = github
        self.settings = settings
        self._admin_teams = {admin for admin in settings.admins if isinstance(admin, Rule)}

    async def evaluate(self, token: str, known: Iterable[Organization] = ()) -> AccessDecision:
        """Query GitHub about the owner of a token, and return the access decision.

        Parameters
        ----------
        token
            Access token of the user.
        known
            Logins of the organizations of which the user was a member at the last decision.

        Raises
        ------
        GitHubError
            Raised if GitHub's answer is missing or insufficient for a decision.
        """
        known = tuple(known)
        known_logins = {organization.login.lower() for organization in known}
        rules = self._admin_teams.union(self.settings.allowed)
        user = await self.github.fetch_user(token, rules, known)
        memberships = ignore_hidden(user.memberships, known_logins) if known_logins else user.memberships
        return AccessDecision(
            user.account,
            decide_admission(self.settings.allowed, memberships),
            self._build_identity(user),
            user.account.id in self.settings.admins
            or any(apply_rule(team, memberships) is Admission.ADMITTED for team in self._admin_teams),
        )

    def _build_identity(self, user: GitHubUser) -> Identity | None:
        preferred = {rule.organization for rule in self.settings.allowed}
        try:
            return build_identity(user.account, user.organizations, preferred, self.settings.reserved_names)
        except IdentityError:
            return None
