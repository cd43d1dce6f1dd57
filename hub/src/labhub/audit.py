"""One log line for everything that lets somebody in or keeps them out.

The shape is a contract: `testing/contracts/audit-event.json`. No token and no auth state is ever in it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

LOGGER = "labhub.audit"
_log = logging.getLogger(LOGGER)


def _write(event: str, message: str, fields: Mapping[str, object], level: int = logging.INFO) -> None:
    _log.log(level, message, extra={"event": event, **fields})


def login(
    user: str, github_id: int, *, admin: bool, dropped: tuple[str, ...] = (), renamed_from: str | None = None
) -> None:
    """Somebody has come in; `dropped` names the organizations for which there was no room."""
    who: dict[str, object] = {"user": user, "github_id": github_id}
    _write("login", f"{user} logged in", who | {"admin": admin, "dropped": list(dropped), "renamed_from": renamed_from})


def refusal(user: str | None, github_id: int | None, reason: str) -> None:
    """Somebody was turned away at the door."""
    fields = {"user": user, "github_id": github_id, "reason": reason}
    _write("refusal", f"{user or 'somebody'} was refused: {reason}", fields, logging.WARNING)


def refresh(user: str, github_id: int, outcome: str, age: float) -> None:
    """Somebody who is in was looked at again; `age` is that of the answer which counts, in seconds."""
    fields = {"user": user, "github_id": github_id, "outcome": outcome, "age_seconds": round(age)}
    _write("refresh", f"{user}: {outcome}", fields, logging.INFO if outcome == "confirmed" else logging.WARNING)


def revocation(user: str, github_id: int, reason: str, servers: tuple[str, ...]) -> None:
    """Access has ended; `servers` names the labs that are stopped for it."""
    fields = {"user": user, "github_id": github_id, "reason": reason, "servers": list(servers)}
    _write("revocation", f"{user} has no access any more: {reason}", fields, logging.WARNING)


def logout(user: str, github_id: int | None, *, token_revoked: bool) -> None:
    """Somebody has logged out; `token_revoked` tells whether GitHub has made their token invalid."""
    fields = {"user": user, "github_id": github_id, "token_revoked": token_revoked}
    _write("logout", f"{user} logged out", fields)


def reset(user: str, github_id: int | None, administrator: str, servers: Mapping[str, str]) -> None:
    """Somebody's labs were stopped by all means; `servers` says in which state they were."""
    fields = {"user": user, "github_id": github_id, "administrator": administrator, "servers": dict(servers)}
    _write("reset", f"{user} was reset by {administrator}", fields, logging.WARNING)
