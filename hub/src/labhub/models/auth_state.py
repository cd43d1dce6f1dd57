"""What the hub keeps, encrypted, of somebody's login: all that crosses from here to the spawner.

Its shape is a contract: `testing/contracts/auth-state.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from labhub.models.identity import Identity, IdentityError


@dataclass(frozen=True)
class AuthState:
    """The last known answer of GitHub, and when it was given.

    Attributes
    ----------
    identity
        Who it is.
    access_token
        To ask GitHub again; None after it was revoked at a logout.
    scopes
        What the token may be used for.
    checked_at
        Unix time of the answer, in seconds.
    email
        The primary address, if GitHub gave it: for the lab's git.
    """

    identity: Identity
    access_token: str | None
    scopes: tuple[str, ...]
    checked_at: float
    email: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as JupyterHub stores it."""
        return asdict(self) | {"identity": self.identity.to_dict(), "scopes": list(self.scopes)}

    def to_auth_model(self, *, admin: bool) -> dict[str, Any]:
        """Give what an authenticator hands to JupyterHub.

        `admin` is always said: with None a user would stay what they are.
        """
        return {"name": self.identity.name, "admin": admin, "auth_state": self.to_dict()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> AuthState | None:
        """Read it back; None for what is not ours, which is a stock hub's or an older version's."""
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
