"""What is mended of JupyterHub from outside: that it is what was looked at, and that the gain is there."""

from __future__ import annotations

import hashlib
import inspect
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub import orm, roles  # type: ignore[import-untyped]
from jupyterhub.app import JupyterHub  # type: ignore[import-untyped]
from jupyterhub.crypto import CryptKeeper, encrypt  # type: ignore[import-untyped]
from jupyterhub.handlers import BaseHandler  # type: ignore[import-untyped]
from jupyterhub.metrics import RUNNING_SERVERS  # type: ignore[import-untyped]
from jupyterhub.oauth import provider  # type: ignore[import-untyped]
from jupyterhub.user import User, UserDict  # type: ignore[import-untyped]
from jupyterhub.utils import compare_token  # type: ignore[import-untyped]
from labhub._patches import jupyterhub_functions as upstream
from labhub.login.user_accounts import find_user, user_info
from sqlalchemy import event, text
from sqlalchemy.orm import Session, selectinload

# The first characters of the SHA-256 of each source. If one differs: read what is new in it, see whether `labhub` still
# does right in its place or around it, measure with `nox -s "bench(scale)"`, and put the new one here.
LOOKED_AT = {
    orm.register_ping_connection: "3358d330aae6f3ec",
    orm.new_session_factory: "24cdc508a76a19d2",
    orm.APIToken.new: "dabfc88217041f03",
    provider.JupyterHubOAuthServer.add_client: "37e7d04b6eb9bdad",
    upstream.count_active_users: "ec675f883c8ea876",
    upstream.prepare: "e39bd2f5e0810570",
    upstream.spawn: "890673db0a1e343f",
    upstream.stop: "493c27f62f3c23bc",
    upstream.get_auth_state: "76860e788c015c65",
    JupyterHub.init_spawners: "4fcb1886e4519cda",
    BaseHandler.spawn_single_user: "83e4731f2505cc8b",
    User._wait_up: "ebfdce8726c6654a",
}


@pytest.mark.parametrize("function", LOOKED_AT, ids=lambda one: one.__qualname__)
def test_the_source_is_the_one_that_was_looked_at(function: Callable[..., object]) -> None:
    assert hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16] == LOOKED_AT[function]


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Open a database of a hub that is mended; afterwards JupyterHub is as it was."""
    places = [(orm, "register_ping_connection"), (provider, "hash_token"), (UserDict, "count_active_users")]
    places += [
        (orm, "sessionmaker"),
        (User, "spawn"),
        (User, "stop"),
        (User, "get_auth_state"),
        (BaseHandler, "prepare"),
    ]
    relationships = [getattr(orm.User, name).property for name in upstream.EAGER]
    for place, name in [*places, *((one, "strategy") for one in relationships)]:
        monkeypatch.setattr(place, name, getattr(place, name))
    monkeypatch.setattr(orm.JSONDict, "cache_ok", None, raising=False)
    url = f"sqlite:///{tmp_path}/hub.sqlite"
    upstream.mend(url)
    with orm.new_session_factory(url)() as session:
        for role in roles.get_default_roles():
            roles.create_role(session, role)
        yield session


@pytest.fixture
def asked(db: Session) -> list[str]:
    """Note the database's statements."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(db.get_bind(), "before_cursor_execute", note)
    return statements


def add(db: Session, name: str, **more: Any) -> orm.User:
    user = orm.User(name=name, **more)
    db.add(user)
    roles.assign_default_roles(db, entity=user)
    db.commit()
    return user


def test_a_user_is_looked_up_in_one_query_and_has_their_roles(db: Session, asked: list[str]) -> None:
    add(db, "ada")
    asked.clear()
    ada = orm.User.find(db, "ada")
    assert len(asked) == 1
    assert [role.name for role in ada.roles] == ["user"]
    asked.clear()
    assert [role.name for role in orm.User.find(db, "ada").roles] == ["user"]
    assert len(asked) == 1


def test_a_list_of_users_does_not_ask_for_each(db: Session, asked: list[str]) -> None:
    for number in range(5):
        add(db, f"user-{number}")
    db.expunge_all()
    asked.clear()
    # As JupyterHub's `UserListAPIHandler` does.
    found = db.query(orm.User).options(selectinload(orm.User.roles), selectinload(orm.User.groups)).all()
    assert all(user.roles[0].name == "user" and not user.groups for user in found)
    assert len(asked) == 3


def test_a_labs_secret_is_hashed_once_and_known_again(db: Session) -> None:
    server = SimpleNamespace(db=db)
    client = provider.JupyterHubOAuthServer.add_client(server, "jupyterhub-user-ada", "a-token", "/user/ada/callback")
    assert client.secret.split(":")[1] == "1"
    assert compare_token(client.secret, "a-token")
    assert not compare_token(client.secret, "another")


def test_whose_a_new_server_is_is_not_asked(db: Session, asked: list[str]) -> None:
    spawner = orm.Spawner(user=add(db, "ada"), name="")
    service = orm.Service(name="culler")
    db.add_all([spawner, service])
    db.commit()
    for owner in (spawner, service):
        server, client = orm.Server(base_url="/"), orm.OAuthClient(identifier=type(owner).__name__)
        db.add_all([server, client])
        db.commit()
        asked.clear()
        owner.server, owner.oauth_client = server, client
        db.commit()
        assert [statement.split()[0] for statement in asked] == ["UPDATE"]
    db.expunge_all()
    for kind in (orm.Spawner, orm.Service):
        owner = db.query(kind).one()
        assert owner.server.base_url == "/"
        assert owner.oauth_client.identifier == kind.__name__


def test_a_new_server_has_what_the_database_would_give_it(db: Session) -> None:
    server = orm.Server(base_url="/user/ada/")
    assert (server.proto, server.ip, server.base_url, server.cookie_name) == ("http", "", "/user/ada/", "cookie")
    assert 1024 < server.port < 65536
    db.add(server)
    db.commit()
    assert db.query(orm.Server).one() is server


@pytest.mark.asyncio
async def test_who_reads_under_two_keys_renews_what_is_stored_and_undoes_nothing(
    db: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = CryptKeeper.instance()
    user = SimpleNamespace(name="ada", db=db, log=logging.getLogger("test"), encrypted_auth_state=None)
    assert await upstream._get_auth_state(user) is None
    monkeypatch.setattr(keeper, "keys", [b"1" * 32])
    user.encrypted_auth_state = first = await encrypt({"token": "old"})
    assert await upstream._get_auth_state(user) == {"token": "old"}
    assert user.encrypted_auth_state is first
    monkeypatch.setattr(keeper, "keys", [b"2" * 32, b"1" * 32])
    assert await upstream._get_auth_state(user) == {"token": "old"}
    renewed = user.encrypted_auth_state
    monkeypatch.setattr(keeper, "keys", [b"2" * 32])
    assert await upstream._get_auth_state(user) == {"token": "old"}
    monkeypatch.setattr(keeper, "keys", [b"3" * 32, b"2" * 32])

    async def encrypt_while_they_log_out(state: object) -> bytes:
        user.encrypted_auth_state = None
        return await encrypt(state)  # type: ignore[no-any-return]

    monkeypatch.setattr(upstream, "encrypt", encrypt_while_they_log_out)
    assert await upstream._get_auth_state(user) == {"token": "old"}
    assert user.encrypted_auth_state is None
    user.encrypted_auth_state = renewed
    monkeypatch.setattr(keeper, "keys", [b"4" * 32])
    assert await upstream._get_auth_state(user) is None


def test_labs_are_counted_from_time_to_time(db: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(upstream, "time", SimpleNamespace(monotonic=lambda: now))
    users = UserDict(lambda: db, {})
    lab = SimpleNamespace(pending=None, active=True, ready=True)
    users[1] = SimpleNamespace(spawners={"": lab})
    assert users.count_active_users()["active"] == 1
    users[2] = users[3] = SimpleNamespace(spawners={"": lab})
    # As JupyterHub does at the next start of a lab, and when one has started in between.
    RUNNING_SERVERS.set(1)
    RUNNING_SERVERS.inc()
    assert users.count_active_users()["active"] == 2
    now += upstream.COUNTED_SECONDS + 1
    assert users.count_active_users()["active"] == 3


def test_sqlite_has_a_write_ahead_log_and_nobody_asks_it_whether_it_is_there(db: Session, asked: list[str]) -> None:
    assert db.execute(text("PRAGMA journal_mode")).scalar() == "wal"
    assert db.execute(text("PRAGMA synchronous")).scalar() == 1
    db.commit()
    asked.clear()
    db.execute(text("SELECT 2"))
    assert asked == ["SELECT 2"]


def test_an_account_is_found_by_a_statement_that_is_compiled_once(db: Session) -> None:
    add(db, "ada", user_info=user_info(7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find_user(UserDict(lambda: db, {}), 7)
    assert found
    assert found.name == "ada"
