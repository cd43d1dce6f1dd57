"""Evaluation of whether the owner of a GitHub token has access to the hub, at a login and at each re-check."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from labhub.login.github import GitHub, GitHubUser
from labhub.models.access_rules import Admission, Membership, Memberships, Rule, apply_rule, decide_admission
from labhub.models.identity import Account, Identity, IdentityError, Organization, build_identity
from labhub.settings.login import LoginSettings


@dataclass(frozen=True)
class AccessDecision:
    """The decision whether one GitHub account has access to the hub.

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
    """Return the memberships, with `NONE` for each hidden membership in an organization that is not in `known`.

    `known` contains the logins of the organizations of which the user was a member at the last decision.

    An allowed organization that has not approved the OAuth app hides its members. Without this function, each user
    could be a hidden member of such an organization. So no user would ever lose access.
    """
    organizations = {
        login: Membership.NONE if membership is Membership.HIDDEN and login not in known else membership
        for login, membership in memberships.organizations.items()
    }
    return replace(memberships, organizations=organizations)


class AccessEvaluator:
    """Evaluator that applies the access rules in the settings to GitHub's answers about an account."""

    def __init__(self, github: GitHub, settings: LoginSettings) -> None:
        self.github = github
        self.settings = settings
        self._admin_teams = {admin for admin in settings.admins if isinstance(admin, Rule)}

    async def evaluate(self, token: str, known: Iterable[Organization] = ()) -> AccessDecision:
        """Query GitHub about the owner of a token, and return the decision about the owner's access.

        Parameters
        ----------
        token
            Access token of the user.
        known
            Organizations of which the user was a member at the last decision.

        Raises
        ------
        GitHubError
            Raised if GitHub does not answer, or if the answer is insufficient for a decision.
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
