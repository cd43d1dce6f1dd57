"""One log line for everything that lets somebody in or keeps them out.

The shape is a contract: `testing/contracts/audit-event.json`. No token and no auth state is ever in it.
"""

from __future__ import annotations

import logging
from typing import Any

LOGGER = "labhub.audit"
_log = logging.getLogger(LOGGER)


def _write(event: str, message: str, level: int = logging.INFO, **fields: Any) -> None:
    _log.log(level, message, extra={"event": event, **fields})


def login(user: str, github_id: int, *, admin: bool, dropped: tuple[str, ...] = (), renamed_from: str | None = None) -> None:
    """Somebody has come in; `dropped` names the organizations for which there was no room."""
    fields = {"admin": admin, "dropped": list(dropped), "renamed_from": renamed_from}
    _write("login", f"{user} logged in", user=user, github_id=github_id, **fields)


def refusal(user: str | None, github_id: int | None, reason: str) -> None:
    """Somebody was turned away at the door."""
    who = user or "somebody"
    _write("refusal", f"{who} was refused: {reason}", logging.WARNING, user=user, github_id=github_id, reason=reason)


def refresh(user: str, github_id: int, outcome: str, age: float) -> None:
    """Somebody who is in was looked at again; `age` is that of the answer which counts, in seconds."""
    level = logging.INFO if outcome == "confirmed" else logging.WARNING
    fields = {"outcome": outcome, "age_seconds": round(age)}
    _write("refresh", f"{user}: {outcome}", level, user=user, github_id=github_id, **fields)


def revocation(user: str, github_id: int | None, reason: str, servers: tuple[str, ...] = ()) -> None:
    """Access has ended; `servers` names the labs that are stopped for it."""
    fields = {"reason": reason, "servers": list(servers)}
    message = f"{user} has no access any more: {reason}"
    _write("revocation", message, logging.WARNING, user=user, github_id=github_id, **fields)


def logout(user: str, github_id: int | None, *, token_revoked: bool) -> None:
    """Somebody has logged out; `token_revoked` tells whether GitHub has made their token invalid."""
    _write("logout", f"{user} logged out", user=user, github_id=github_id, token_revoked=token_revoked)
