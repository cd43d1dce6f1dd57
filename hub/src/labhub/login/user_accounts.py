"""Find the hub's user of a GitHub account by the GitHub id, because the account's login can change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jupyterhub import orm  # type: ignore[import-untyped]
from jupyterhub.user import User, UserDict  # type: ignore[import-untyped]
from sqlalchemy import text

from labhub.models.auth_state import AuthState
from labhub.models.identity import Identity
from labhub.models.login_errors import LoginRefusal, LoginRefusedError

ID_KEY = "github_id"
# Use plain SQL, because SQLAlchemy does not cache statements with JupyterHub's JSON columns, and logs a warning.
USERS_BY_INFO = text("SELECT id, user_info FROM users WHERE user_info LIKE :pattern")


def user_info(github_id: int) -> dict[str, Any]:
    """Return the value for the column `user_info` of JupyterHub's table of users. The column is not encrypted."""
    return {ID_KEY: github_id}


def find_user(users: UserDict, github_id: int) -> User | None:
    """Return the hub's user with this GitHub id, or None. The user name in the hub can be a former login."""
    # Let the database search the text of the column, so that the hub does not load thousands of users for one login.
    rows = users.db.execute(USERS_BY_INFO, {"pattern": f'%"{ID_KEY}": {github_id}%'})
    return next((users[row_id] for row_id, info in rows if json.loads(info).get(ID_KEY) == github_id), None)


async def get_github_id(user: User) -> int | None:
    """Return a user's stored GitHub id, or None.

    The hub stores the id in the column `user_info` and in auth state. JupyterHub's GitHubOAuthenticator has stored the
    id only in auth state.
    """
    info: Mapping[str, Any] = user.user_info or {}
    if ID_KEY in info:
        return int(info[ID_KEY])
    stored = await user.get_auth_state() or {}
    if state := AuthState.from_dict(stored):
        return state.identity.github_id
    account = stored.get("github_user") or {}
    return int(account["id"]) if "id" in account else None


async def resolve_username(users: UserDict, identity: Identity) -> str:
    """Return the user name in the hub for an account that logs in.

    If the account was renamed at GitHub, rename the hub's user. Keep the old name if another user has the new name, or
    if a lab of the user runs. The URL and the tokens of a running lab contain the old name.

    Raises
    ------
    LoginRefusedError
        Raised if the hub's user with this name belongs to another GitHub account.
    """
    owner = orm.User.find(users.db, identity.name)
    user = find_user(users, identity.github_id)
    if user is None:
        if owner and await get_github_id(users[owner]) not in {None, identity.github_id}:
            raise LoginRefusedError(LoginRefusal.REUSED_LOGIN, identity.name, identity.github_id)
        return identity.name
    if user.name != identity.name and owner is None and not user.active:
        rename_user(users, user, identity.name)
    return str(user.name)


def rename_user(users: UserDict, user: User, name: str) -> None:
    """Rename a user who has no running lab."""
    user.orm_user.name = name
    users.db.commit()
    # Discard JupyterHub's `User` object, which contains URL paths with the old name. Use `pop`, because `del` would
    # also expunge the database row from the session.
    users.pop(user.id)
