"""Regular re-check of the memberships of logged-in users.

If GitHub reports that a user is no longer a member, the hub ends the user's sessions and lab. During an outage of
GitHub, sessions and labs continue.
"""

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

from labhub.login.access_evaluator import AccessDecision, AccessEvaluator
from labhub.login.github_responses import RevokedError, SuspendedError, UnavailableError
from labhub.login.user_accounts import get_github_id
from labhub.models.access_rules import Admission
from labhub.models.auth_state import AuthState
from labhub.models.login_errors import LoginRefusal
from labhub.telemetry import audit

RefreshResult = dict[str, Any] | bool
# Number of sweeps in `refresh_seconds`. A sweep re-checks the users with a running lab whose next re-check is due
# before the next sweep.
SWEEPS = 10
# Limits for the number of users in one sweep. The maximum is necessary because all users are due after a start of the
# hub, and each re-check uses 3.6 ms of CPU time.
SWEEP_USERS_MIN, SWEEP_USERS_MAX = 20, 100
# Maximum number of concurrent re-checks in a sweep. GitHub allows 100 concurrent requests, of which logins need some.
REQUESTS_MAX = 16
# Fraction of `stale_seconds`. If GitHub's answer is unchanged, the hub stores the answer again only if the stored
# answer is older than this time. This saves writes to the database. But the stored answer can expire earlier than
# GitHub's last answer, by at most this time.
STORE_INTERVAL = 1 / 100
# Seconds by which the hub's clock may be set back. After a larger step, GitHub's last answer counts as expired.
# Otherwise the answer would be valid for longer than `stale_seconds`.
CLOCK_SKEW = 60
SIGNED_OUT = "signed_out"
TOKEN_REVOKED = "token_revoked"  # noqa: S105  (the name of a reason)
ANOTHER_ACCOUNT = "another_account"


_log = logging.getLogger(__name__)


async def is_replaced(user: User, state: AuthState) -> bool:
    """Return whether a login or logout has replaced the user's auth state since the re-check has read it."""
    return bool(await user.get_auth_state() != state.to_dict())


class MembershipRefresher:
    """Re-check of users' memberships at GitHub, with at most one running re-check for each user."""

    def __init__(self, app: JupyterHub, access_evaluator: AccessEvaluator) -> None:
        self.app = app
        self.access_evaluator = access_evaluator
        self.settings = access_evaluator.settings
        self._refreshing: dict[int, asyncio.Task[RefreshResult]] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._swept_at: dict[int, float] = {}
        self._request_slots = asyncio.Semaphore(REQUESTS_MAX)
        self._timer = PeriodicCallback(self.sweep, self.settings.refresh_seconds * 1000 / SWEEPS)

    def start(self) -> None:
        """Start the regular sweeps, which re-check the users with a running lab."""
        self._timer.start()

    async def refresh(self, user: User) -> RefreshResult:
        """Re-check a user, and return the result that JupyterHub expects from `refresh_user`.

        Returns
        -------
        dict, True or False
            A dict is the user's new auth model. True means that the user keeps the access, and the auth model is
            unchanged. False means that the user's sessions end.
        """
        task = self._refreshing.get(user.id)
        if task is None:  # simultaneous requests of one page share a task
            task = self._refreshing[user.id] = asyncio.create_task(self._refresh(user))
            task.add_done_callback(lambda _: self._refreshing.pop(user.id, None))
        result = await asyncio.shield(task)
        return dict(result) if isinstance(result, dict) else result

    async def _refresh(self, user: User) -> RefreshResult:
        state = AuthState.from_dict(await user.get_auth_state() or {})
        if state is None:
            return False
        if state.access_token is None:
            # The hub cannot query GitHub, because the user's logout has deleted the token. Sessions and API tokens end.
            # A running lab continues until GitHub's last answer expires.
            self._use_last_answer(user, state, SIGNED_OUT)
            return False
        try:
            decision = await self.access_evaluator.evaluate(state.access_token, state.identity.organizations)
        except RevokedError:
            if await is_replaced(user, state):
                return True
            return await self._end_access(user, state, TOKEN_REVOKED)
        except SuspendedError:
            return await self._end_access(user, state, LoginRefusal.SUSPENDED.code)
        except UnavailableError as error:
            return self._use_last_answer(user, state, error.reason.code)
        return await self._apply_decision(user, state, decision)

    async def _apply_decision(self, user: User, state: AuthState, decision: AccessDecision) -> RefreshResult:
        if decision.account.id != state.identity.github_id:
            return await self._end_access(user, state, ANOTHER_ACCOUNT)
        if decision.admission is Admission.UNKNOWN:
            return self._use_last_answer(user, state, LoginRefusal.HIDDEN.code)
        if decision.admission is not Admission.ADMITTED:
            return await self._end_access(user, state, LoginRefusal.NOT_A_MEMBER.code)
        if decision.identity is None:
            return await self._end_access(user, state, LoginRefusal.NO_IDENTITY.code)
        if await is_replaced(user, state):
            return True
        audit.log_refresh(user.name, decision.account.id, "confirmed", age=0)
        fresh = AuthState(decision.identity, state.access_token, state.scopes, time.time(), state.email)
        if fresh == replace(state, checked_at=fresh.checked_at) and decision.admin == user.admin:
            # Return True, which means that nothing has changed. If this function returned the auth model, JupyterHub
            # would read all roles of the user again.
            if not 0 <= fresh.checked_at - state.checked_at < STORE_INTERVAL * self.settings.stale_seconds:
                await user.save_auth_state(fresh.to_dict())
            return True
        return fresh.to_auth_model(admin=decision.admin)

    def _use_last_answer(self, user: User, state: AuthState, reason: str) -> bool:
        """Return whether GitHub's last answer about the user is still valid.

        When the answer has expired, the caller ends the user's sessions. A running lab continues, because GitHub has
        not reported the end of the membership. But stop the lab of a user who has logged out, because the hub has no
        token to query GitHub about this user.
        """
        age = time.time() - state.checked_at
        valid = -CLOCK_SKEW <= age <= self.settings.stale_seconds
        outcome = f"kept:{reason}" if valid else f"expired:{reason}"
        audit.log_refresh(user.name, state.identity.github_id, outcome, max(age, 0))
        if not valid and state.access_token is None:
            self._stop_labs(user)
        return valid

    async def _end_access(self, user: User, state: AuthState, reason: str) -> bool:
        """Stop a user's labs, and return False, so that JupyterHub ends the user's sessions and API tokens."""
        pending = any(spawner.pending for spawner in user.spawners.values())
        user._auth_refreshed = None  # so JupyterHub re-checks the user at the next request
        audit.log_revocation(user.name, state.identity.github_id, reason, self._stop_labs(user))
        if not pending:  # keep the auth state of a pending lab: the next re-check needs it to stop this lab
            await user.save_auth_state(None)
        return False

    def _stop_labs(self, user: User) -> tuple[str, ...]:
        """Start tasks that stop the running labs of a user, and return the names of these labs."""
        names = tuple(name for name, spawner in user.spawners.items() if spawner.active and not spawner.pending)
        for name in names:
            # Set the flag before the task starts, as JupyterHub's `stop_single_user` does.
            user.spawners[name]._stop_pending = True
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
        """Re-check those users with a running lab whose re-check is due.

        The sweep is necessary because JupyterHub itself re-checks a user only when the user sends a request.
        """
        refresh_seconds = self.settings.refresh_seconds
        running = [user for user in self.app.users.values() if user.active]
        due_before = time.monotonic() - refresh_seconds + refresh_seconds / SWEEPS
        due = sorted((user for user in running if self._last_checked(user) <= due_before), key=self._last_checked)
        due = due[: min(SWEEP_USERS_MAX, max(SWEEP_USERS_MIN, ceil(1.25 * len(running) / SWEEPS)))]
        async with asyncio.TaskGroup() as group:
            for user in due:
                group.create_task(self._sweep_user(user))
                # Spread the re-checks over most of the time until the next sweep, so that the hub answers requests
                # between them.
                await asyncio.sleep(0.8 * refresh_seconds / SWEEPS / len(due))

    def _last_checked(self, user: User) -> float:
        """Return the time of the user's last re-check, whether it succeeded or failed."""
        return max(user._auth_refreshed or 0.0, self._swept_at.get(user.id, 0.0))

    async def _sweep_user(self, user: User) -> None:
        self._swept_at[user.id] = time.monotonic()
        try:
            async with self._request_slots:
                if await get_github_id(user) is not None:
                    await self._refresh_and_store(user)
        except Exception:  # an error for one user must not stop the sweep
            _log.exception("cannot re-check the membership of %s", user.name)

    async def _refresh_and_store(self, user: User) -> None:
        result = await self.refresh(user)
        if isinstance(result, dict):
            user.admin = result["admin"]
            await user.save_auth_state(result["auth_state"])
        if result:
            user._auth_refreshed = time.monotonic()
