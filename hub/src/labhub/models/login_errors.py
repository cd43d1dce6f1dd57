"""Why somebody is turned away: the reason goes to the audit log and to a page of its own words."""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """A reason, as the audit log names it, with the page's HTTP status."""

    NOT_A_MEMBER = ("not_a_member", 403)
    PENDING = ("pending", 403)
    """Invited to the organization, and has not accepted."""
    HIDDEN = ("hidden", 403)
    """The organization does not let the app see its members."""
    SUSPENDED = ("suspended", 403)
    REUSED_LOGIN = ("reused_login", 403)
    """The hub knows this login as another account's."""
    NO_IDENTITY = ("no_identity", 403)
    """The account cannot be a POSIX user."""
    SCOPE = ("scope", 403)
    """GitHub did not grant what the hub has to ask."""
    BLOCKED = ("blocked", 403)
    """An administrator has blocked the user."""
    CANCELLED = ("cancelled", 403)
    TOKEN_REFUSED = ("token_refused", 403)
    BAD_REQUEST = ("bad_request", 400)
    # Not 503: nginx takes that for a hub that is away, and answers with a page of its own.
    GITHUB_DOWN = ("github_down", 424)
    RATE_LIMITED = ("rate_limited", 424)

    def __init__(self, code: str, status: int) -> None:
        self.code = code
        self.status = status


class RefusedError(Exception):
    """A login is refused.

    Attributes
    ----------
    reason
        Why.
    user
        GitHub login, lower case, as far as it is known.
    github_id
        As far as it is known.
    """

    def __init__(self, reason: Reason, user: str | None = None, github_id: int | None = None) -> None:
        super().__init__(reason.code)
        self.reason = reason
        self.user = user
        self.github_id = github_id
