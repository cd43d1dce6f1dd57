"""Auth state: the data about a login that the hub stores encrypted, and that the spawner reads.

The format is a contract: `testing/contracts/auth-state.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from labhub.models.identity import Identity, IdentityError


@dataclass(frozen=True)
class AuthState:
    """GitHub's last answer about one user, with the user's token.

    Attributes
    ----------
    identity
        The POSIX user that the hub has derived from the GitHub account.
    access_token
        GitHub token for the next membership check, or None after a logout.
    scopes
        Scopes of the GitHub token.
    checked_at
        Time of GitHub's answer, as Unix time in seconds.
    email
        Primary e-mail address, which git in the lab uses, or None if GitHub has not provided it.
    """

    identity: Identity
    access_token: str | None
    scopes: tuple[str, ...]
    checked_at: float
    email: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the dict that JupyterHub encrypts and stores."""
        return asdict(self) | {"identity": self.identity.to_dict(), "scopes": list(self.scopes)}

    def to_auth_model(self, *, admin: bool) -> dict[str, Any]:
        """Return the auth model that JupyterHub needs after a login or a re-check.

        The field `admin` is always True or False. With None, JupyterHub would keep the former rights of the user.
        """
        return {"name": self.identity.name, "admin": admin, "auth_state": self.to_dict()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> AuthState | None:
        """Return the auth state that `to_dict` has stored.

        Return None if the stored dict has another format, for example that of JupyterHub's GitHubOAuthenticator.
        """
        try:
            return cls(
                identity=Identity.from_dict(stored["identity"]),
                access_token=stored["access_token"],
                scopes=tuple(stored["scopes"]),
                checked_at=float(stored["checked_at"]),
                email=stored["email"],
            )
        except (IdentityError, KeyError, TypeError, ValueError):
            return None
