"""What happens when a look at somebody meets something else that goes on."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from labhub.models.access_rules import Admission
from labhub.models.auth_state import AuthState
from labhub.settings.environment import load
from labhub.login.access_evaluator import Examiner, Finding
from labhub.login.github import GitHub, RevokedError
from labhub.models.identity import Account, Identity
from labhub.login.membership_refresh import SWEEPS, Recheck
from labhub.settings.login import Settings

SETTINGS = load(
    {
        "JUPYTERHUB_CRYPT_KEY": "ab" * 32,
        "GITHUB_CLIENT_ID": "an-id",
        "GITHUB_CLIENT_SECRET": "a-secret",
        "OAUTH_CALLBACK_URL": "https://lab.example/hub/oauth_callback",
        "GITHUB_ORGANIZATION_WHITELIST": "lsst",
    },
    Settings,
)
IDENTITY = Identity(5150, "ada", "ada", 5150)
STATE = AuthState(IDENTITY, "gho_old", ("read:org",), 1.0)


@dataclass
class FakeSpawner:
    """A lab, or what may become one."""

    pending: str | None = None
    active: bool = True


@dataclass
class FakeUser:
    """As much of JupyterHub's user as a look needs."""

    id: int = 1
    name: str = "ada"
    admin: bool = False
    stored: dict[str, Any] | None = field(default_factory=STATE.to_dict)
    spawners: dict[str, FakeSpawner] = field(default_factory=dict)
    user_info: dict[str, Any] = field(default_factory=dict)
    _auth_refreshed: float | None = None

    @property
    def active(self) -> bool:
        return any(one.active for one in self.spawners.values())

    async def get_auth_state(self) -> dict[str, Any] | None:
        return self.stored

    async def save_auth_state(self, state: dict[str, Any] | None) -> None:
        self.stored = state


class SlowExaminer(Examiner):
    """Answers when it is told to."""

    def __init__(self, answer: Finding | Exception) -> None:
        super().__init__(GitHub("https://api.github.example", 1), SETTINGS)
        self.answer = answer
        self.asked = 0
        self.was_asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def examine(self, token: str, known: object = ()) -> Finding:
        self.asked += 1
        self.was_asked.set()
        await self.may_answer.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


MEMBER = Finding(Account(5150, "ada"), Admission.ADMITTED, IDENTITY, admin=False)
OUTSIDER = replace(MEMBER, admission=Admission.OUTSIDER)


@pytest.mark.asyncio
async def test_many_requests_at_once_ask_github_once() -> None:
    examiner, user = SlowExaminer(replace(MEMBER, admin=True)), FakeUser()
    recheck = Recheck(None, examiner)
    tasks = [asyncio.create_task(recheck.refresh(user)) for _ in range(5)]
    await examiner.was_asked.wait()
    examiner.may_answer.set()
    answers = await asyncio.gather(*tasks)
    assert examiner.asked == 1
    assert all(
        isinstance(answer, dict) and answer["auth_state"]["identity"] == IDENTITY.to_dict() for answer in answers
    )
    assert answers[0] is not answers[1]


@pytest.mark.asyncio
async def test_an_answer_with_nothing_new_is_kept_with_its_time_and_no_work_for_jupyterhub() -> None:
    examiner, user, start = SlowExaminer(MEMBER), FakeUser(), time.time()
    examiner.may_answer.set()
    recheck = Recheck(None, examiner)
    assert await recheck.refresh(user) is True
    stored = user.stored
    assert stored is not None
    # Once more within a moment, and nothing is stored.
    assert await recheck.refresh(user) is True
    assert user.stored is stored
    assert stored.pop("checked_at") >= start
    assert stored.items() <= STATE.to_dict().items()


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", [RevokedError("401"), MEMBER], ids=["401", "member"])
async def test_an_answer_about_a_token_that_a_login_has_replaced_changes_nothing(answer: Finding | Exception) -> None:
    examiner, user = SlowExaminer(answer), FakeUser(spawners={"": FakeSpawner()})
    task = asyncio.create_task(Recheck(None, examiner).refresh(user))
    await examiner.was_asked.wait()
    user.stored = replace(STATE, access_token="gho_new").to_dict()
    examiner.may_answer.set()
    assert await task is True
    assert user.stored["access_token"] == "gho_new"


@pytest.mark.asyncio
async def test_a_lab_that_is_starting_when_its_user_is_removed_is_stopped_by_the_next_look() -> None:
    examiner, spawner = SlowExaminer(OUTSIDER), FakeSpawner(pending="spawn")
    user = FakeUser(spawners={"": spawner})
    examiner.may_answer.set()
    assert await Recheck(None, examiner).refresh(user) is False
    assert user.stored is not None
    spawner.active = False
    spawner.pending = None
    assert await Recheck(None, examiner).refresh(user) is False
    assert user.stored is None


@pytest.mark.asyncio
async def test_a_token_that_is_suddenly_another_accounts_is_an_end() -> None:
    examiner, user = SlowExaminer(replace(MEMBER, account=Account(6000, "ada"))), FakeUser()
    examiner.may_answer.set()
    assert await Recheck(None, examiner).refresh(user) is False
    assert user.stored is None


@pytest.mark.asyncio
async def test_after_a_no_the_next_request_is_not_let_through_because_somebody_was_in_a_moment_ago() -> None:
    examiner, user = SlowExaminer(OUTSIDER), FakeUser(_auth_refreshed=time.monotonic())
    examiner.may_answer.set()
    assert await Recheck(None, examiner).refresh(user) is False
    # JupyterHub asks again as soon as it does not know when it has last.
    assert user._auth_refreshed is None


@pytest.mark.asyncio
async def test_everybody_with_a_lab_is_looked_at_in_turn_within_one_refresh() -> None:
    examiner = SlowExaminer(MEMBER)
    examiner.may_answer.set()
    examiner.settings = SETTINGS.model_copy(update={"refresh_seconds": 0.1})
    gone = FakeUser(0, spawners={"": FakeSpawner()}, stored=replace(STATE, access_token=None).to_dict())
    users = {number: FakeUser(number, f"user-{number}", spawners={"": FakeSpawner()}) for number in range(1, 300)}
    idle = FakeUser(300)
    recheck = Recheck(SimpleNamespace(users={0: gone, **users, 300: idle}), examiner)
    await recheck.sweep()
    # Not all at once, though all were due.
    assert examiner.asked == 37
    for _ in range(SWEEPS - 1):
        await recheck.sweep()
    assert all(user._auth_refreshed for user in users.values())
    assert idle._auth_refreshed is None
    # Nobody can ask about who has signed out, which is no reason to look at them before the others.
    assert gone._auth_refreshed is None
