"""The hub's user of a GitHub account. The stored GitHub id identifies the user, because a login can change."""

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
    """Return the user with this GitHub id. The user's name in the hub can be a former login."""
    # The database filters the stored text, so that a login does not load thousands of users.
    rows = users.db.execute(USERS_BY_INFO, {"pattern": f'%"{ID_KEY}": {github_id}%'})
    return next((users[row_id] for row_id, info in rows if json.loads(info).get(ID_KEY) == github_id), None)


async def get_github_id(user: User) -> int | None:
    """Return a user's stored GitHub id, or None. JupyterHub's GitHubOAuthenticator stores the id in auth state only."""
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

    If the login was renamed at GitHub, this renames the hub's user, unless the new name is taken or the user has a
    running lab: the lab's URL and tokens contain the old name.

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
    # Discard the wrapper object, which contains paths with the old name. `del` would also expunge the database row.
    users.pop(user.id)
