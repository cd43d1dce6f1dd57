"""One log line for everything that lets somebody in or keeps them out, and for what administrators do.

The shape is a contract: `testing/contracts/audit-event.json`. No token and no auth state is ever in it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

LOGGER = "labhub.audit"
_log = logging.getLogger(LOGGER)


def _write(
    action: str, message: str, user: str | None, github_id: int | None, *, level: int = logging.INFO, **more: object
) -> None:
    fields = {"event.dataset": "hub.audit", "event.action": action, "user.name": user, **more}
    fields["user.id"] = None if github_id is None else str(github_id)
    _log.log(level, message, extra={name: value for name, value in fields.items() if value is not None})


def login(
    user: str, github_id: int, *, admin: bool, dropped: tuple[str, ...] = (), renamed_from: str | None = None
) -> None:
    """Somebody has come in; `dropped` names the organizations for which there was no room."""
    _write("login", f"{user} logged in", user, github_id, admin=admin, dropped=list(dropped), renamed_from=renamed_from)


def refusal(user: str | None, github_id: int | None, reason: str) -> None:
    """Somebody was turned away at the door."""
    message = f"{user or 'somebody'} was refused: {reason}"
    _write("refusal", message, user, github_id, level=logging.WARNING, **{"event.reason": reason})


def refresh(user: str, github_id: int, outcome: str, age: float) -> None:
    """Somebody who is in was looked at again; `age` is that of the answer which counts, in seconds."""
    level = logging.INFO if outcome == "confirmed" else logging.WARNING
    _write("refresh", f"{user}: {outcome}", user, github_id, level=level, outcome=outcome, age_seconds=round(age))


def revocation(user: str, github_id: int, reason: str, servers: tuple[str, ...]) -> None:
    """Access has ended; `servers` names the labs that are stopped for it."""
    message = f"{user} has no access any more: {reason}"
    why = {"event.reason": reason, "servers": list(servers)}
    _write("revocation", message, user, github_id, level=logging.WARNING, **why)


def logout(user: str, github_id: int | None, *, token_revoked: bool) -> None:
    """Somebody has logged out; `token_revoked` tells whether GitHub has made their token invalid."""
    _write("logout", f"{user} logged out", user, github_id, token_revoked=token_revoked)


def reset(user: str, github_id: int | None, administrator: str, servers: Mapping[str, str]) -> None:
    """Somebody's labs were stopped by all means; `servers` says in which state they were."""
    # Two lists, not an object: the first lab has no name, and no index takes a field without one.
    more = {"administrator": administrator, "servers": list(servers), "states": list(servers.values())}
    _write("reset", f"{user} was reset by {administrator}", user, github_id, level=logging.WARNING, **more)


def announcement(administrator: str, told: Mapping[str, Any]) -> None:
    """Everybody is told something; `told` is `labhub.models.announcement.Announcement.model`."""
    stopped = told["spawning"] == "stopped"
    message = f"{administrator} announced: {told['message']}{'; no lab is started' if stopped else ''}"
    level = logging.WARNING if stopped else logging.INFO
    _write("announcement", message, None, None, level=level, administrator=administrator, **_announced(told))


def announcement_end(administrator: str, told: Mapping[str, Any]) -> None:
    """Everybody is told so no more, before its end."""
    message = f"{administrator} ended the announcement: {told['message']}"
    _write("announcement_end", message, None, None, administrator=administrator, **_announced(told))


def _announced(told: Mapping[str, Any]) -> dict[str, Any]:
    return {f"announcement_{name}": value for name, value in told.items()}
