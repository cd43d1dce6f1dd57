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
    """The last known answer of GitHub about one user.

    Attributes
    ----------
    identity
        The POSIX user.
    access_token
        GitHub token for the next check; None after a logout has revoked it.
    scopes
        Scopes of the token.
    checked_at
        Time of GitHub's answer, as Unix time in seconds.
    email
        Primary address for git in the lab, if GitHub provided it.
    """

    identity: Identity
    access_token: str | None
    scopes: tuple[str, ...]
    checked_at: float
    email: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the dict that JupyterHub stores."""
        return asdict(self) | {"identity": self.identity.to_dict(), "scopes": list(self.scopes)}

    def to_auth_model(self, *, admin: bool) -> dict[str, Any]:
        """Return the auth model that JupyterHub needs after a login or a re-check.

        `admin` is always set: with None, JupyterHub would keep a user's former rights.
        """
        return {"name": self.identity.name, "admin": admin, "auth_state": self.to_dict()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> AuthState | None:
        """Return the stored auth state, or None if JupyterHub's GitHubOAuthenticator or an older version stored it."""
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
