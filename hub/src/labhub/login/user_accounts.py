"""Which user of the hub's database a GitHub account is: the stored id decides, the login is a label."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jupyterhub import orm  # type: ignore[import-untyped]
from jupyterhub.user import User, UserDict  # type: ignore[import-untyped]
from sqlalchemy import Text, type_coerce

from labhub.models.auth_state import AuthState
from labhub.models.identity import Identity
from labhub.models.login_errors import Reason, RefusedError

ID_KEY = "github_id"


def user_info(github_id: int) -> dict[str, Any]:
    """Give what is stored beside the user, in clear."""
    return {ID_KEY: github_id}


def find_user(users: UserDict, github_id: int) -> User | None:
    """Find the user of an account, whatever the name."""
    # As text, as it is stored: that the database looks costs a login the same however many users there are.
    info = type_coerce(orm.User.user_info, Text)
    likely = users.db.query(orm.User.id, info).filter(info.contains(f'"{ID_KEY}": {github_id}', autoescape=True))
    return next((users[row] for row, text in likely if json.loads(text).get(ID_KEY) == github_id), None)


async def stored_id(user: User) -> int | None:
    """Give the GitHub id that is known of a user; a stock hub's is in its auth state, if it kept one."""
    info: Mapping[str, Any] = user.user_info or {}
    if ID_KEY in info:
        return int(info[ID_KEY])
    state = await user.get_auth_state() or {}
    if ours := AuthState.from_dict(state):
        return ours.identity.github_id
    account = state.get("github_user") or {}
    return int(account["id"]) if "id" in account else None


async def settle(users: UserDict, identity: Identity) -> str:
    """Give the name of the user that somebody logs in as.

    After a rename at GitHub the user is renamed too, if no lab of theirs runs and the name is free:
    a lab's address and its tokens hold the name. Until then the old name stays.

    Raises
    ------
    RefusedError
        The login belonged to another account when the hub last saw it. Nothing is written.
    """
    owner = orm.User.find(users.db, identity.name)
    mine = find_user(users, identity.github_id)
    if mine is None:
        if owner and await stored_id(users[owner]) not in {None, identity.github_id}:
            raise RefusedError(Reason.REUSED_LOGIN, identity.name, identity.github_id)
        return identity.name
    if mine.name != identity.name and owner is None and not mine.active:
        rename(users, mine, identity.name)
    return str(mine.name)


def rename(users: UserDict, user: User, name: str) -> None:
    """Rename a user who has no lab running."""
    user.orm_user.name = name
    users.db.commit()
    # The wrapper holds paths made of the old name; not `del`, which would also expunge the row.
    users.pop(user.id)
