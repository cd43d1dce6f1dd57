"""Finds the hub's user of a GitHub account. The stored GitHub id identifies the user; the login can change."""

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
# Plain SQL: SQLAlchemy does not cache statements with JupyterHub's type for JSON columns, and warns.
USERS_BY_INFO = text("SELECT id, user_info FROM users WHERE user_info LIKE :pattern")


def user_info(github_id: int) -> dict[str, Any]:
    """Return the value for JupyterHub's `user_info` column, which is not encrypted."""
    return {ID_KEY: github_id}


def find_user(users: UserDict, github_id: int) -> User | None:
    """Return the user of a GitHub account, whatever the user's name is."""
    # The database filters the stored text, so that a login costs the same with thousands of users.
    rows = users.db.execute(USERS_BY_INFO, {"pattern": f'%"{ID_KEY}": {github_id}%'})
    return next((users[row_id] for row_id, info in rows if json.loads(info).get(ID_KEY) == github_id), None)


async def get_github_id(user: User) -> int | None:
    """Return the stored GitHub id of a user; a stock hub stored it in the auth state, if at all."""
    info: Mapping[str, Any] = user.user_info or {}
    if ID_KEY in info:
        return int(info[ID_KEY])
    stored = await user.get_auth_state() or {}
    if state := AuthState.from_dict(stored):
        return state.identity.github_id
    account = stored.get("github_user") or {}
    return int(account["id"]) if "id" in account else None


async def resolve_username(users: UserDict, identity: Identity) -> str:
    """Return the user name for a login.

    After a rename at GitHub the hub renames the user, if the new name is free and the user has no running lab: a lab's
    URL and tokens contain the name. Until then the old name stays.

    Raises
    ------
    LoginRefusedError
        Raised if the hub knows the login as another account's name. Nothing is written.
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
    """Rename a user without a running lab."""
    user.orm_user.name = name
    users.db.commit()
    # The wrapper object contains paths with the old name. Not `del`, which would also expunge the row.
    users.pop(user.id)
