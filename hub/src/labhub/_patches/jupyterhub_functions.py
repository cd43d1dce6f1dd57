"""What costs JupyterHub most, and more the more labs there are, mended from outside.

Each is held against the very source that it stands for by `hub/tests/unit/test_upstream.py`: a release that changes it
fails there, and somebody looks again. The figures are a hub's processor time with 2,000 labs, as
docs/dev/scale.md tells.
"""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from typing import Any

from cryptography.fernet import InvalidToken
from jupyterhub import orm, utils  # type: ignore[import-untyped]
from jupyterhub.crypto import CryptKeeper, EncryptionUnavailable, decrypt, encrypt  # type: ignore[import-untyped]
from jupyterhub.handlers import BaseHandler  # type: ignore[import-untyped]
from jupyterhub.handlers.metrics import MetricsHandler  # type: ignore[import-untyped]
from jupyterhub.handlers.pages import HealthCheckHandler  # type: ignore[import-untyped]
from jupyterhub.metrics import RUNNING_SERVERS  # type: ignore[import-untyped]
from jupyterhub.oauth import provider  # type: ignore[import-untyped]
from jupyterhub.user import User, UserDict  # type: ignore[import-untyped]
from sqlalchemy import Engine, event
from sqlalchemy.orm import sessionmaker
from sqlalchemy.orm.attributes import set_committed_value

from labhub.infra import fair_scheduling as turns
from labhub._patches.steps import StepSession, in_steps

count_active_users = UserDict.count_active_users
prepare = BaseHandler.prepare
spawn, stop, get_auth_state = User.spawn, User.stop, User.get_auth_state
EAGER = ("roles", "groups", "shared_with_me")
# Seconds for which a count counts
COUNTED_SECONDS = 5


def mend(database_url: str) -> None:
    """Mend everything; before the database is opened."""
    load_users_alone()
    know_new_rows()
    hash_secrets_once()
    count_seldom()
    commit_in_steps()
    keep_newest_auth_state()
    answer_in_turn()
    orm.JSONDict.cache_ok = True  # SQLAlchemy compiled anew each statement with such a value
    if database_url.startswith("sqlite"):
        # A file has no connection that could have been lost, so no `SELECT 1` before each transaction (3 % of a spawn).
        orm.register_ping_connection = write_ahead


def load_users_alone() -> None:
    """Load what a user belongs to when somebody asks for it, once.

    JupyterHub asks for it in three more queries with each query for a user, also for one whom it has long had: a fifth
    of a spawn, a quarter of a report of activity. Where it lists users it says itself what to load with them.
    """
    for name in EAGER:
        relationship = getattr(orm.User, name).property
        relationship.strategy = relationship._get_strategy((("lazy", "select"),))


def know_new_rows() -> None:
    """Have nobody ask the database for whom a server or an OAuth client is that has just been made: nobody yet.

    SQLAlchemy does as soon as it is given to somebody, to find whom it is taken from: two queries of a spawn.
    """
    for kind in (orm.Server, orm.OAuthClient):
        if not event.contains(kind, "init", _of_nobody):
            event.listen(kind, "init", _of_nobody)


def _of_nobody(row: Any, _args: object, _given: object) -> None:
    for owner in ("spawner", "service"):
        set_committed_value(row, owner, None)


def hash_secrets_once() -> None:
    """Hash a lab's OAuth secret, which is a token made by the hub, once, as JupyterHub does with the same token.

    It takes secrets for somebody's password: 16,384 rounds at each spawn, and again when the lab shows it (7 ms each).
    """
    provider.hash_token = partial(utils.hash_token, rounds=1)


def count_seldom() -> None:
    """Count the active labs from time to time; between two counts JupyterHub's metric adds and subtracts.

    It does at each spawn, to hold them against limits, which `labhub.configuration` does not set: an eighth of a spawn.
    """
    UserDict.count_active_users = _count_active_users


def _count_active_users(users: Any) -> Counter[str]:
    now = time.monotonic()
    if now - getattr(users, "_counted_at", 0.0) > COUNTED_SECONDS:
        users._counted_at = now
        found: Counter[str] = count_active_users(users)
        return found
    # The metric is set to what comes of this: it stays what it is.
    return Counter(active=int(RUNNING_SERVERS._value.get()))


def commit_in_steps() -> None:
    """Have the start of a lab and its end commit once between two waits: a sixth of a spawn.

    Not a login: JupyterHub keeps a new user in memory as soon as it has committed them. The first step of a start adds
    a server and a token, and asks for OAuth clients and roles: it writes once in the place of three times.
    """
    orm.sessionmaker = partial(sessionmaker, class_=StepSession)
    User.spawn, User.stop = in_steps(spawn, asks_for_nothing_new=True), in_steps(stop)
    if not event.contains(orm.Server, "init", _whole):
        event.listen(orm.Server, "init", _whole)


def _whole(_row: orm.Server, _args: object, given: dict[str, Any]) -> None:
    """Give a server what the database would give it at the first commit, which is read before now."""
    for column in orm.Server.__table__.columns:
        if column.default is not None:
            default = column.default.arg
            given.setdefault(column.key, default(None) if callable(default) else default)


def keep_newest_auth_state() -> None:
    """Have nobody who reads what is known of a user undo what a login or a logout stores meanwhile.

    With two keys, while one replaces the other, JupyterHub stores what it has read again, whatever stands there now.
    """
    User.get_auth_state = _get_auth_state


async def _get_auth_state(user: User) -> dict[str, Any] | None:
    stored = user.encrypted_auth_state
    if stored is None:
        return None
    try:
        state: dict[str, Any] = await decrypt(stored)
    except (ValueError, InvalidToken, EncryptionUnavailable) as error:
        user.log.warning("what is known of %s cannot be read: %r", user.name, error)
        return None
    if len(CryptKeeper.instance().keys) > 1:
        renewed = await encrypt(state)
        if user.encrypted_auth_state == stored:
            user.encrypted_auth_state = renewed
            user.db.commit()
    return state


def answer_in_turn() -> None:
    """Have those who are to be looked up in the database wait for their turn, and nobody else."""
    BaseHandler.prepare = _prepare


async def _prepare(handler: BaseHandler) -> None:
    if not isinstance(handler, HealthCheckHandler | MetricsHandler):
        await turns.take()
    await prepare(handler)


def write_ahead(engine: Engine) -> None:
    """Have SQLite note changes in a log beside the file, and wait for the disk only when it puts them in place.

    A spawn commits a dozen times, and for each the whole hub waited until the disk had it twice. What was committed in
    the last moment is lost when the machine's power fails, not when the hub is killed; labs that run are found again.
    """

    @event.listens_for(engine, "connect")
    def _set(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
