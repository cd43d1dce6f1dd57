"""Tests of membership re-checks, for example during a login, during a lab's start, or during another re-check."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from labhub.login.access_evaluator import AccessDecision, AccessEvaluator
from labhub.login.github import GitHub
from labhub.login.github_responses import RevokedError
from labhub.login.membership_refresh import SWEEPS, MembershipRefresher
from labhub.models.access_rules import Admission
from labhub.models.auth_state import AuthState
from labhub.models.identity import Account, Identity
from labhub.settings.environment import load
from labhub.settings.login import LoginSettings

SETTINGS = load(
    {
        "JUPYTERHUB_CRYPT_KEY": "ab" * 32,
        "GITHUB_CLIENT_ID": "an-id",
        "GITHUB_CLIENT_SECRET": "a-secret",
        "OAUTH_CALLBACK_URL": "https://lab.example/hub/oauth_callback",
        "GITHUB_ORGANIZATION_WHITELIST": "lsst",
    },
    LoginSettings,
)
IDENTITY = Identity(5150, "ada", "ada", 5150)
STATE = AuthState(IDENTITY, "gho_old", ("read:org",), 1.0)


@dataclass
class FakeSpawner:
    """A spawner whose state a test sets."""

    pending: str | None = None
    active: bool = True
    _stop_pending: bool = False


@dataclass
class FakeUser:
    """A user with the attributes of JupyterHub's `User` that a re-check uses."""

    id: int = 1
    name: str = "ada"
    admin: bool = False
    stored: dict[str, Any] | None = field(default_factory=STATE.to_dict)
    spawners: dict[str, FakeSpawner] = field(default_factory=dict)
    user_info: dict[str, Any] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    is_stopped: asyncio.Event = field(default_factory=asyncio.Event)
    _auth_refreshed: float | None = None

    @property
    def active(self) -> bool:
        return any(spawner.active for spawner in self.spawners.values())

    async def get_auth_state(self) -> dict[str, Any] | None:
        return self.stored

    async def save_auth_state(self, state: dict[str, Any] | None) -> None:
        self.stored = state

    async def stop(self, name: str) -> None:
        assert self.spawners[name]._stop_pending, "the stop is not reserved: another task could stop the lab, too"
        self.spawners[name].active = False
        self.stopped.append(name)
        self.is_stopped.set()


@dataclass
class FakeProxy:
    """A proxy that records the routes that a re-check deletes."""

    is_down: bool = False
    deleted: list[tuple[str, str]] = field(default_factory=list)

    async def delete_user(self, user: FakeUser, name: str) -> None:
        if self.is_down:
            raise OSError("the proxy does not answer")
        self.deleted.append((user.name, name))


@dataclass
class FakeApp:
    """A hub with the attributes that a re-check uses."""

    users: dict[int, FakeUser]
    proxy: FakeProxy = field(default_factory=FakeProxy)


class SlowEvaluator(AccessEvaluator):
    """An access evaluator that waits for the event `may_answer` before it returns a decision."""

    def __init__(self, answer: AccessDecision | Exception) -> None:
        super().__init__(GitHub("https://api.github.example", 1), SETTINGS)
        self.answer = answer
        self.calls = 0
        self.is_called, self.may_answer = asyncio.Event(), asyncio.Event()

    async def evaluate(self, token: str, known: object = ()) -> AccessDecision:
        self.calls += 1
        self.is_called.set()
        await self.may_answer.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


MEMBER = AccessDecision(Account(5150, "ada"), Admission.ADMITTED, IDENTITY, admin=False)
OUTSIDER = replace(MEMBER, admission=Admission.OUTSIDER)


@pytest.mark.asyncio
async def test_simultaneous_requests_share_one_membership_check() -> None:
    evaluator, user = SlowEvaluator(replace(MEMBER, admin=True)), FakeUser()
    refresher = MembershipRefresher(None, evaluator)
    tasks = [asyncio.create_task(refresher.refresh(user)) for _ in range(5)]
    await evaluator.is_called.wait()
    evaluator.may_answer.set()
    answers = await asyncio.gather(*tasks)
    assert evaluator.calls == 1
    assert all(
        isinstance(answer, dict) and answer["auth_state"]["identity"] == IDENTITY.to_dict() for answer in answers
    )
    assert answers[0] is not answers[1]


@pytest.mark.asyncio
async def test_unchanged_answer_stores_only_its_time() -> None:
    evaluator, user, start = SlowEvaluator(MEMBER), FakeUser(), time.time()
    evaluator.may_answer.set()
    refresher = MembershipRefresher(None, evaluator)
    assert await refresher.refresh(user) is True
    stored = user.stored
    assert stored is not None
    # A second re-check directly after the first stores no new auth state, because GitHub's answer is unchanged.
    assert await refresher.refresh(user) is True
    assert user.stored is stored
    assert stored.pop("checked_at") >= start
    assert stored.items() <= STATE.to_dict().items()


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", [RevokedError("401"), MEMBER], ids=["401", "member"])
async def test_answer_for_a_replaced_token_is_ignored(
    answer: AccessDecision | Exception,
) -> None:
    evaluator, user = SlowEvaluator(answer), FakeUser(spawners={"": FakeSpawner()})
    task = asyncio.create_task(MembershipRefresher(None, evaluator).refresh(user))
    await evaluator.is_called.wait()
    user.stored = replace(STATE, access_token="gho_new").to_dict()
    evaluator.may_answer.set()
    assert await task is True
    assert user.stored["access_token"] == "gho_new"


@pytest.mark.asyncio
async def test_a_removed_user_loses_the_running_lab() -> None:
    evaluator, user = SlowEvaluator(OUTSIDER), FakeUser(spawners={"": FakeSpawner(), "old": FakeSpawner(active=False)})
    app = FakeApp({1: user})
    evaluator.may_answer.set()
    assert await MembershipRefresher(app, evaluator).refresh(user) is False
    await asyncio.wait_for(user.is_stopped.wait(), 60)
    assert user.stopped == [""]
    assert app.proxy.deleted == [("ada", "")]
    assert user.stored is None


@pytest.mark.asyncio
async def test_lab_is_stopped_without_the_proxy() -> None:
    evaluator, user = SlowEvaluator(OUTSIDER), FakeUser(spawners={"": FakeSpawner()})
    app = FakeApp({1: user}, FakeProxy(is_down=True))
    evaluator.may_answer.set()
    assert await MembershipRefresher(app, evaluator).refresh(user) is False
    await asyncio.wait_for(user.is_stopped.wait(), 60)
    assert user.stopped == [""]
    assert app.proxy.deleted == []


@pytest.mark.asyncio
async def test_a_starting_lab_is_stopped_by_the_next_refresh() -> None:
    evaluator, spawner = SlowEvaluator(OUTSIDER), FakeSpawner(pending="spawn")
    user = FakeUser(spawners={"": spawner})
    app = FakeApp({1: user})
    refresher = MembershipRefresher(app, evaluator)
    evaluator.may_answer.set()
    assert await refresher.refresh(user) is False
    assert user.stored is not None, "the next re-check needs the auth state"
    assert user.stopped == []
    spawner.pending = None  # the lab has started
    assert await refresher.refresh(user) is False
    await asyncio.wait_for(user.is_stopped.wait(), 60)
    assert user.stopped == [""]
    assert app.proxy.deleted == [("ada", "")]
    assert user.stored is None


@pytest.mark.asyncio
async def test_token_of_another_account_ends_the_session() -> None:
    evaluator, user = SlowEvaluator(replace(MEMBER, account=Account(6000, "ada"))), FakeUser()
    evaluator.may_answer.set()
    assert await MembershipRefresher(None, evaluator).refresh(user) is False
    assert user.stored is None


@pytest.mark.asyncio
async def test_refusal_forces_a_check_at_the_next_request() -> None:
    evaluator, user = SlowEvaluator(OUTSIDER), FakeUser(_auth_refreshed=time.monotonic())
    evaluator.may_answer.set()
    assert await MembershipRefresher(None, evaluator).refresh(user) is False
    # Without a time of the last re-check, JupyterHub re-checks the user at the next request.
    assert user._auth_refreshed is None


@pytest.mark.asyncio
async def test_each_user_with_a_lab_is_checked_in_turn() -> None:
    evaluator = SlowEvaluator(MEMBER)
    evaluator.may_answer.set()
    evaluator.settings = SETTINGS.model_copy(update={"refresh_seconds": 0.1})
    gone = FakeUser(0, spawners={"": FakeSpawner()}, stored=replace(STATE, access_token=None).to_dict())
    users = {number: FakeUser(number, f"user-{number}", spawners={"": FakeSpawner()}) for number in range(1, 300)}
    idle = FakeUser(300)
    refresher = MembershipRefresher(FakeApp({0: gone, **users, 300: idle}), evaluator)
    await refresher.sweep()
    # One sweep checks only a part of the users, although the re-check of all users is due.
    assert evaluator.calls == 37
    for _ in range(SWEEPS - 1):
        await refresher.sweep()
    assert all(user._auth_refreshed for user in users.values())
    assert idle._auth_refreshed is None
    # This user has logged out. So the hub has no token of the user, and cannot confirm the membership.
    assert gone._auth_refreshed is None
