"""Reasons for refused logins. Each reason has a code for the audit log, and a text in the page `login_refused.html`."""

from __future__ import annotations

from enum import Enum


class LoginRefusal(Enum):
    """Reason for a refused login, with its code in the audit log, and the HTTP status of the page for the user."""

    NOT_A_MEMBER = ("not_a_member", 403)
    PENDING = ("pending", 403)
    """The user has not accepted an invitation to the organization."""
    HIDDEN = ("hidden", 403)
    """The organization does not show its members to the OAuth app."""
    SUSPENDED = ("suspended", 403)
    REUSED_LOGIN = ("reused_login", 403)
    """The hub already has a user with this name, who belongs to another GitHub account."""
    NO_IDENTITY = ("no_identity", 403)
    """The GitHub account cannot become a POSIX user."""
    SCOPE = ("scope", 403)
    """GitHub did not grant the scopes that the hub needs."""
    BLOCKED = ("blocked", 403)
    """An administrator has blocked the user."""
    CANCELLED = ("cancelled", 403)
    TOKEN_REFUSED = ("token_refused", 403)
    BAD_REQUEST = ("bad_request", 400)
    # The status is not 503, because nginx replaces each page with status 503 by its own page for an unavailable hub.
    GITHUB_DOWN = ("github_down", 424)
    RATE_LIMITED = ("rate_limited", 424)

    def __init__(self, code: str, status: int) -> None:
        self.code = code
        self.status = status


class LoginRefusedError(Exception):
    """Error for a login that the hub refuses.

    Attributes
    ----------
    reason
        Reason why the hub refuses the login.
    user
        GitHub login in lower case, if known.
    github_id
        GitHub id, if known.
    """

    def __init__(self, reason: LoginRefusal, user: str | None = None, github_id: int | None = None) -> None:
        super().__init__(reason.code)
        self.reason = reason
        self.user = user
        self.github_id = github_id
