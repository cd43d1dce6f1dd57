"""Looks again at somebody who is in: members stay in through an outage, and out is out, with the lab."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from math import ceil
from typing import Any

from jupyterhub.app import JupyterHub  # type: ignore[import-untyped]
from jupyterhub.user import User  # type: ignore[import-untyped]
from tornado.ioloop import PeriodicCallback

from labhub.telemetry import audit as audit
from labhub.login.user_accounts import stored_id
from labhub.models.access_rules import Admission
from labhub.models.auth_state import AuthState
from labhub.login.access_evaluator import Examiner, Finding
from labhub.login.github import RevokedError, SuspendedError, UnavailableError
from labhub.models.login_errors import Reason

Refreshed = dict[str, Any] | bool
SIGNED_OUT = "signed_out"
# Sweeps in the time after which somebody is looked at again: each looks at who is due before the next.
SWEEPS = 10
# Who are looked at in one, at least and at most: after a start all are due at once, and with thousands each is looked
# at later. A look takes 3.6 ms of the processor.
FEW, MANY = 20, 100
# Questions to GitHub at the same time, beside those of logins: it wants 100 at most.
AT_ONCE = 16
# Of the time that GitHub's answer counts for, for which the same is not stored again: it ends so much earlier.
STORED = 1 / 100
CLOCK_SKEW = 60  # seconds that the clock may have been set back; more, and an answer would count for longer than it may
TOKEN_REVOKED = "token_revoked"  # noqa: S105  (a reason's name)
ANOTHER_ACCOUNT = "another_account"


_log = logging.getLogger(__name__)


async def is_replaced(user: User, state: AuthState) -> bool:
    """Tell whether a login or logout has changed what is stored while GitHub was asked: then that counts."""
    return bool(await user.get_auth_state() != state.to_dict())


class Recheck:
    """Asks GitHub again, one question at a time for each user."""

    def __init__(self, app: JupyterHub, examiner: Examiner) -> None:
        self.app = app
        self.examiner = examiner
        self.settings = examiner.settings
        self._asking: dict[int, asyncio.Task[Refreshed]] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._swept: dict[int, float] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._sweeper = PeriodicCallback(self.sweep, self.settings.refresh_seconds * 1000 / SWEEPS)

    def start(self) -> None:
        """Start to look after labs whose user does not come by."""
        self._sweeper.start()

    async def refresh(self, user: User) -> Refreshed:
        """Answer as an authenticator's `refresh_user` does.

        Returns
        -------
        dict, True or False
            What is new; what was known still counts; access has ended.
        """
        task = self._asking.get(user.id)
        if task is None:  # a page of the hub and its parts ask at the same time
            task = self._asking[user.id] = asyncio.create_task(self._refresh(user))
            task.add_done_callback(lambda _: self._asking.pop(user.id, None))
        answer = await asyncio.shield(task)
        return dict(answer) if isinstance(answer, dict) else answer

    async def _refresh(self, user: User) -> Refreshed:
        state = AuthState.from_dict(await user.get_auth_state() or {})
        if state is None:
            return False
        if state.access_token is None:
            # Nobody can ask about them, so no session and no token of theirs counts any more: only a lab goes on.
            self._keep(user, state, SIGNED_OUT)
            return False
        try:
            finding = await self.examiner.examine(state.access_token, state.identity.organizations)
        except RevokedError:
            if await is_replaced(user, state):
                return True
            return await self._end(user, state, TOKEN_REVOKED)
        except SuspendedError:
            return await self._end(user, state, Reason.SUSPENDED.code)
        except UnavailableError as error:
            return self._keep(user, state, error.reason.code)
        return await self._judge(user, state, finding)

    async def _judge(self, user: User, state: AuthState, finding: Finding) -> Refreshed:
        if finding.account.id != state.identity.github_id:
            return await self._end(user, state, ANOTHER_ACCOUNT)
        if finding.admission is Admission.UNKNOWN:
            return self._keep(user, state, Reason.HIDDEN.code)
        if finding.admission is not Admission.ADMITTED:
            return await self._end(user, state, Reason.NOT_A_MEMBER.code)
        if finding.identity is None:
            return await self._end(user, state, Reason.NO_IDENTITY.code)
        if await is_replaced(user, state):
            return True
        audit.refresh(user.name, finding.account.id, "confirmed", age=0)
        fresh = AuthState(finding.identity, state.access_token, state.scopes, time.time(), state.email)
        if fresh == replace(state, checked_at=fresh.checked_at) and finding.admin == user.admin:
            # JupyterHub would look all of the user's roles up again; and who has just logged in is stored.
            if not 0 <= fresh.checked_at - state.checked_at < STORED * self.settings.stale_seconds:
                await user.save_auth_state(fresh.to_dict())
            return True
        return fresh.to_auth_model(admin=finding.admin)

    def _keep(self, user: User, state: AuthState, reason: str) -> bool:
        """Let the last known answer count, up to its age's bound; after that the door closes.

        A lab runs on behind the closed door, since nobody has said no: when GitHub is back its user finds it.
        That of somebody who has signed out is stopped, since nobody could ask about them again.
        """
        age = time.time() - state.checked_at
        kept = -CLOCK_SKEW <= age <= self.settings.stale_seconds
        outcome = f"kept:{reason}" if kept else f"expired:{reason}"
        audit.refresh(user.name, state.identity.github_id, outcome, max(age, 0))
        if not kept and state.access_token is None:
            self._stop_labs(user)
        return kept

    async def _end(self, user: User, state: AuthState, reason: str) -> bool:
        """End somebody's access: the session, their tokens (`auth_refresh_strict`) and their labs."""
        pending = any(spawner.pending for spawner in user.spawners.values())
        user._auth_refreshed = None  # the session, too, ends with the next request, not when the last look has aged
        audit.revocation(user.name, state.identity.github_id, reason, self._stop_labs(user))
        if not pending:  # else it is asked again, and the lab that is starting now is stopped then
            await user.save_auth_state(None)
        return False

    def _stop_labs(self, user: User) -> tuple[str, ...]:
        """Start to stop the labs that run; give their names."""
        names = tuple(name for name, spawner in user.spawners.items() if spawner.active and not spawner.pending)
        for name in names:
            user.spawners[name]._stop_pending = True  # as JupyterHub does, before anything else can run
            task = asyncio.create_task(self._stop_lab(user, name))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
        return names

    async def _stop_lab(self, user: User, name: str) -> None:
        try:
            await self.app.proxy.delete_user(user, name)
        finally:
            await user.stop(name)

    async def sweep(self) -> None:
        """Look again at who has a lab running and is due: an idle lab asks the hub nothing, so nothing else would."""
        refresh = self.settings.refresh_seconds
        running = [user for user in self.app.users.values() if user.active]
        before_next = time.monotonic() - refresh + refresh / SWEEPS
        due = sorted((user for user in running if self._seen(user) <= before_next), key=self._seen)
        due = due[: min(MANY, max(FEW, ceil(1.25 * len(running) / SWEEPS)))]
        async with asyncio.TaskGroup() as looks:
            for user in due:
                looks.create_task(self._look_after(user))
                # One after the other, so that a hub with thousands has time for anything else; all before the next.
                await asyncio.sleep(0.8 * refresh / SWEEPS / len(due))

    def _seen(self, user: User) -> float:
        """Give when somebody was looked at, whatever came of it."""
        return max(user._auth_refreshed or 0.0, self._swept.get(user.id, 0.0))

    async def _look_after(self, user: User) -> None:
        self._swept[user.id] = time.monotonic()
        try:
            async with self._gate:
                if await stored_id(user) is not None:
                    await self._sweep_user(user)
        except Exception:  # whatever it is, the others are looked after
            _log.exception("%s was not looked after", user.name)

    async def _sweep_user(self, user: User) -> None:
        answer = await self.refresh(user)
        if isinstance(answer, dict):
            user.admin = answer["admin"]
            await user.save_auth_state(answer["auth_state"])
        if answer:
            user._auth_refreshed = time.monotonic()
