"""Tests that the source of the patched functions is unchanged, and tests of the effect of each patch."""

from __future__ import annotations

import hashlib
import inspect
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub import orm, roles  # type: ignore[import-untyped]
from jupyterhub.apihandlers.users import (  # type: ignore[import-untyped]
    ActivityAPIHandler,
    UserServerAPIHandler,
)
from jupyterhub.app import JupyterHub  # type: ignore[import-untyped]
from jupyterhub.crypto import CryptKeeper, encrypt  # type: ignore[import-untyped]
from jupyterhub.handlers import BaseHandler  # type: ignore[import-untyped]
from jupyterhub.handlers.pages import SpawnHandler  # type: ignore[import-untyped]
from jupyterhub.metrics import RUNNING_SERVERS  # type: ignore[import-untyped]
from jupyterhub.oauth import provider  # type: ignore[import-untyped]
from jupyterhub.user import User, UserDict  # type: ignore[import-untyped]
from jupyterhub.utils import compare_token, hash_token  # type: ignore[import-untyped]
from labhub import _patches
from labhub._patches import TESTED_JUPYTERHUB, TESTED_SQLALCHEMY, jupyterhub_functions, sqlalchemy_orm
from labhub.infra.database import use_write_ahead_log
from labhub.login.user_accounts import find_user, user_info
from sqlalchemy import event, text
from sqlalchemy.orm import Session, selectinload

REQUIREMENTS = Path(__file__).parents[2] / "requirements.txt"
# SHA-256 hash (first 16 digits) of the source of each upstream function that a patch replaces or relies on. If a hash
# differs, review the changes in the function, and adapt the patch if necessary. Then measure with `nox -s
# "bench(scale)"`, and update the hash.
REVIEWED = {
    orm.APIToken.new: "dabfc88217041f03",
    jupyterhub_functions.add_client: "37e7d04b6eb9bdad",
    jupyterhub_functions.count_active_users: "ec675f883c8ea876",
    jupyterhub_functions.prepare: "e39bd2f5e0810570",
    jupyterhub_functions.get_auth_state: "76860e788c015c65",
    User.spawn: "890673db0a1e343f",
    User.stop: "493c27f62f3c23bc",
    User._wait_up: "ebfdce8726c6654a",
    JupyterHub.init_db: "1bfc26935fed5697",
    JupyterHub.init_handlers: "78667c3b11d3a41d",
    JupyterHub.init_spawners: "4fcb1886e4519cda",
    BaseHandler.spawn_single_user: "83e4731f2505cc8b",
    BaseHandler.refresh_auth: "becef46cd8a47f33",
    UserServerAPIHandler.post: "e0fc61f362836229",
    BaseHandler._record_activity: "865805f92f26a70a",
    SpawnHandler._wrap_spawn_single_user: "7118af892c567165",
    SpawnHandler._get: "56bd3f335e66de59",
    SpawnHandler._post: "6b3aa12f3de79a3a",
    ActivityAPIHandler.post: "177271242042110a",
}


@pytest.mark.parametrize("function", REVIEWED, ids=lambda function: function.__qualname__)
def test_the_source_is_the_reviewed_one(function: Callable[..., object]) -> None:
    assert hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16] == REVIEWED[function]


@pytest.mark.parametrize(("package", "tested"), [("jupyterhub", TESTED_JUPYTERHUB), ("sqlalchemy", TESTED_SQLALCHEMY)])
def test_the_locked_version_is_a_tested_one(package: str, tested: frozenset[str]) -> None:
    locked = re.search(rf"^{package}==([^ ]+)", REQUIREMENTS.read_text(), re.MULTILINE)
    assert locked
    assert locked[1] in tested


@pytest.fixture
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the functions and relations that the patches replace, after the test."""
    places: list[tuple[Any, str]] = [
        (provider.JupyterHubOAuthServer, "add_client"),
        (UserDict, "count_active_users"),
        (User, "get_auth_state"),
        (BaseHandler, "prepare"),
    ]
    places += [(getattr(orm.User, name).property, "strategy") for name in sqlalchemy_orm.LAZY_RELATIONS]
    for place, name in places:
        monkeypatch.setattr(place, name, getattr(place, name))


@pytest.fixture
def db(tmp_path: Path, unpatched: None) -> Iterator[Session]:
    """Apply the patches, and open a new database of a hub."""
    use_write_ahead_log()
    assert _patches.apply_patches(logging.getLogger("test"))
    with orm.new_session_factory(f"sqlite:///{tmp_path}/hub.sqlite")() as session:
        for role in roles.get_default_roles():
            roles.create_role(session, role)
        yield session


@pytest.fixture
def statements(db: Session) -> list[str]:
    """Return a list, to which each SQL statement that the database executes is added."""
    executed: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        executed.append(statement)

    event.listen(db.get_bind(), "before_cursor_execute", record)
    return executed


def add_user(db: Session, name: str, **columns: Any) -> orm.User:
    user = orm.User(name=name, **columns)
    db.add(user)
    roles.assign_default_roles(db, entity=user)
    db.commit()
    return user


def executed_selects(statements: list[str]) -> list[str]:
    """Return the recorded statements without `SELECT 1`, with which JupyterHub tests the connection."""
    return [statement for statement in statements if statement != "SELECT 1"]


@pytest.mark.parametrize(
    ("unknown", "applied"),
    [
        pytest.param("jupyterhub", (False, False), id="jupyterhub"),
        pytest.param("sqlalchemy", (True, False), id="sqlalchemy"),
    ],
)
def test_an_untested_version_is_not_patched(
    unpatched: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    unknown: str,
    applied: tuple[bool, bool],
) -> None:
    eager = orm.User.roles.property.strategy
    versions = {"jupyterhub": "6.1.1", "sqlalchemy": "2.1.9", unknown: "99.0"}
    monkeypatch.setattr(metadata, "version", versions.__getitem__)
    assert _patches.apply_patches(logging.getLogger("test")) is applied[0]
    assert (UserDict.count_active_users is not jupyterhub_functions.count_active_users) is applied[0]
    assert (orm.User.roles.property.strategy is not eager) is applied[1]
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"{unknown} 99.0 was not tested with this release")


def test_a_user_is_looked_up_with_one_query(db: Session, statements: list[str]) -> None:
    add_user(db, "ada")
    statements.clear()
    ada = orm.User.find(db, "ada")
    assert len(executed_selects(statements)) == 1
    assert [role.name for role in ada.roles] == ["user"]
    statements.clear()
    assert [role.name for role in orm.User.find(db, "ada").roles] == ["user"]
    assert len(executed_selects(statements)) == 1


def test_a_list_of_users_needs_no_query_for_each(db: Session, statements: list[str]) -> None:
    for number in range(5):
        add_user(db, f"user-{number}")
    db.expunge_all()
    statements.clear()
    # Send the query with which JupyterHub's `UserListAPIHandler` lists users.
    users = db.query(orm.User).options(selectinload(orm.User.roles), selectinload(orm.User.groups)).all()
    assert all(user.roles[0].name == "user" and not user.groups for user in users)
    assert len(executed_selects(statements)) == 3


@pytest.mark.parametrize(
    ("client_id", "rounds"), [("jupyterhub-user-ada", "1"), ("service-culler", "16384")], ids=["a lab", "a service"]
)
def test_only_the_secret_of_a_lab_is_hashed_once(db: Session, client_id: str, rounds: str) -> None:
    server = SimpleNamespace(db=db)
    add_client = provider.JupyterHubOAuthServer.add_client
    client = add_client(server, client_id, "a-token", "/callback", allowed_scopes=["self"], description="A client")
    assert client.secret.split(":")[1] == rounds
    assert compare_token(client.secret, "a-token")
    assert not compare_token(client.secret, "another")
    assert (client.redirect_uri, client.description, client.allowed_scopes) == ("/callback", "A client", ["self"])


def test_a_failed_client_restores_the_hashing(db: Session) -> None:
    with pytest.raises(AttributeError):
        provider.JupyterHubOAuthServer.add_client(None, "jupyterhub-user-ada", "a-token", "/callback")
    assert provider.hash_token is hash_token


@pytest.mark.asyncio
async def test_a_rotated_key_overwrites_no_newer_auth_state(db: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = CryptKeeper.instance()
    user = SimpleNamespace(name="ada", db=db, log=logging.getLogger("test"), encrypted_auth_state=None)
    assert await User.get_auth_state(user) is None
    monkeypatch.setattr(keeper, "keys", [b"1" * 32])
    user.encrypted_auth_state = first = await encrypt({"token": "old"})
    assert await User.get_auth_state(user) == {"token": "old"}
    assert user.encrypted_auth_state is first
    monkeypatch.setattr(keeper, "keys", [b"2" * 32, b"1" * 32])
    assert await User.get_auth_state(user) == {"token": "old"}
    renewed = user.encrypted_auth_state
    monkeypatch.setattr(keeper, "keys", [b"2" * 32])
    assert await User.get_auth_state(user) == {"token": "old"}
    monkeypatch.setattr(keeper, "keys", [b"3" * 32, b"2" * 32])

    async def encrypt_during_logout(state: object) -> bytes:
        user.encrypted_auth_state = None
        return await encrypt(state)  # type: ignore[no-any-return]

    monkeypatch.setattr(jupyterhub_functions, "encrypt", encrypt_during_logout)
    assert await User.get_auth_state(user) == {"token": "old"}
    assert user.encrypted_auth_state is None
    user.encrypted_auth_state = renewed
    monkeypatch.setattr(keeper, "keys", [b"4" * 32])
    assert await User.get_auth_state(user) is None


@pytest.fixture
def users(db: Session) -> UserDict:
    """Return JupyterHub's dictionary of users, with one user whose lab runs. `add_labs` adds two more such users."""
    lab = SimpleNamespace(pending=None, active=True, ready=True)
    users = UserDict(lambda: db, {})
    users[1] = SimpleNamespace(spawners={"": lab})
    return users


def add_labs(users: UserDict) -> None:
    users[2] = users[3] = users[1]
    # JupyterHub sets the metric to a full count at the request for a lab. When the lab has started, JupyterHub
    # increments the metric.
    RUNNING_SERVERS.set(1)
    RUNNING_SERVERS.inc()


def test_labs_are_counted_every_five_seconds(users: UserDict, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(jupyterhub_functions, "time", SimpleNamespace(monotonic=lambda: now))
    assert users.count_active_users()["active"] == 1
    add_labs(users)
    assert users.count_active_users()["active"] == 2
    now += jupyterhub_functions.COUNT_SECONDS + 1
    assert users.count_active_users()["active"] == 3


@pytest.mark.parametrize("limit", ["active_server_limit", "concurrent_spawn_limit"])
def test_with_a_limit_labs_are_counted_exactly(users: UserDict, limit: str) -> None:
    users.settings[limit] = 2
    assert users.count_active_users()["active"] == 1
    add_labs(users)
    counts = users.count_active_users()
    assert counts["active"] == 3
    assert counts["spawn_pending"] == 0


def test_sqlite_uses_a_write_ahead_log(db: Session) -> None:
    assert db.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    assert db.execute(text("PRAGMA synchronous")).scalar() == 1


def test_an_account_is_found_without_a_warning(db: Session) -> None:
    add_user(db, "ada", user_info=user_info(7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        user = find_user(UserDict(lambda: db, {}), 7)
    assert user
    assert user.name == "ada"
