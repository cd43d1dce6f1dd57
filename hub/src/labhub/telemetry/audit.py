"""Audit events: one log line for each login, refusal, re-check and logout, and for each action of an administrator.

The fields are a contract: `testing/contracts/audit-event.json`. No event contains a token or auth state.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

LOGGER = "labhub.audit"
_log = logging.getLogger(LOGGER)


def _write(
    action: str, message: str, user: str | None, github_id: int | None, *, level: int = logging.INFO, **fields: object
) -> None:
    fields = {"event.dataset": "hub.audit", "event.action": action, "user.name": user, **fields}
    fields["user.id"] = None if github_id is None else str(github_id)
    _log.log(level, message, extra={name: value for name, value in fields.items() if value is not None})


def log_login(
    user: str, github_id: int, *, admin: bool, dropped: tuple[str, ...] = (), renamed_from: str | None = None
) -> None:
    """Log a login. `dropped` contains the logins of the user's organizations without a POSIX group."""
    _write("login", f"{user} logged in", user, github_id, admin=admin, dropped=list(dropped), renamed_from=renamed_from)


def log_refusal(user: str | None, github_id: int | None, reason: str) -> None:
    """Log a refused login."""
    message = f"the login of {user or 'an unknown account'} was refused: {reason}"
    _write("refusal", message, user, github_id, level=logging.WARNING, **{"event.reason": reason})


def log_refresh(user: str, github_id: int, outcome: str, age: float) -> None:
    """Log the re-check of a user's membership. `age` is the age of GitHub's last answer in seconds."""
    level = logging.INFO if outcome == "confirmed" else logging.WARNING
    fields = {"outcome": outcome, "age_seconds": round(age)}
    _write("refresh", f"membership of {user}: {outcome}", user, github_id, level=level, **fields)


def log_revocation(user: str, github_id: int, reason: str, servers: tuple[str, ...]) -> None:
    """Log the end of a user's access. `servers` contains the names of the labs that the hub stops."""
    message = f"{user} has lost access: {reason}"
    fields = {"event.reason": reason, "servers": list(servers)}
    _write("revocation", message, user, github_id, level=logging.WARNING, **fields)


def log_logout(user: str, github_id: int | None, *, token_revoked: bool) -> None:
    """Log a logout. `token_revoked` is True if GitHub has confirmed that the user's token is revoked."""
    _write("logout", f"{user} logged out", user, github_id, token_revoked=token_revoked)


def log_reset(user: str, github_id: int | None, administrator: str, servers: Mapping[str, str]) -> None:
    """Log that an administrator has reset a user. `servers` contains the former state of each lab by the lab's name."""
    # Write two lists instead of an object with the labs' names as fields. Elasticsearch would reject a field with an
    # empty name, which is JupyterHub's name of a user's default lab.
    fields = {"administrator": administrator, "servers": list(servers), "states": list(servers.values())}
    _write("reset", f"{user} was reset by {administrator}", user, github_id, level=logging.WARNING, **fields)


def log_announcement(administrator: str, announcement: Mapping[str, Any]) -> None:
    """Log that an administrator has set an announcement. `announcement` has the fields of `Announcement.to_dict`."""
    paused = announcement["spawning"] == "stopped"
    message = f"{administrator} announced: {announcement['message']}{'; spawning is paused' if paused else ''}"
    level = logging.WARNING if paused else logging.INFO
    fields = _announcement_fields(announcement)
    _write("announcement", message, None, None, level=level, administrator=administrator, **fields)


def log_announcement_end(administrator: str, announcement: Mapping[str, Any]) -> None:
    """Log that an administrator has ended an announcement."""
    message = f"{administrator} ended the announcement: {announcement['message']}"
    fields = _announcement_fields(announcement)
    _write("announcement_end", message, None, None, administrator=administrator, **fields)


def _announcement_fields(announcement: Mapping[str, Any]) -> dict[str, Any]:
    return {f"announcement_{name}": value for name, value in announcement.items()}
