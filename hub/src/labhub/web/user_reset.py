"""The page and the API call with which an administrator resets a user whose lab does not stop or start as usual."""

from __future__ import annotations

import json

from jupyterhub.apihandlers.base import APIHandler  # type: ignore[import-untyped]
from jupyterhub.handlers import BaseHandler  # type: ignore[import-untyped]
from jupyterhub.scopes import needs_scope  # type: ignore[import-untyped]
from jupyterhub.user import User  # type: ignore[import-untyped]
from tornado import web

from labhub.labs.spawner import LabSpawner
from labhub.login.user_accounts import get_github_id
from labhub.telemetry import audit, metrics

PENDING_FLAGS = ("_spawn_pending", "_start_pending", "_stop_pending", "_check_pending", "_proxy_pending")


class ResetHandler(APIHandler):  # type: ignore[misc]  # untyped
    """Handler of `POST /hub/api/users/<name>/reset`, which stops the user's labs in any state."""

    @needs_scope("admin:servers")  # type: ignore[untyped-decorator]
    async def post(self, user_name: str) -> None:
        """Reset a user. The answer contains the former state of each lab of the user."""
        user = self.find_user(user_name)
        if user is None:
            raise web.HTTPError(404, f"no such user: {user_name}")
        states = {name or "default": await reset_lab(self, user, name) for name in list(user.spawners)}
        metrics.RECONCILED.labels("reset").inc()
        audit.log_reset(user.name, await get_github_id(user), self.current_user.name, states)
        self.finish(json.dumps({"user": user.name, "servers": states}))


async def reset_lab(handler: BaseHandler, user: User, name: str) -> str:
    """Delete a lab's pod, route and stored state at once. Return the state of the lab before the reset."""
    spawner: LabSpawner = user.spawners[name]
    state = spawner.pending or ("running" if spawner.ready else "stopped")
    for future in (spawner._spawn_future, getattr(spawner, "_stop_future", None)):
        if future and not future.done():
            future.cancel()
    await spawner.force_delete()
    try:
        await handler.proxy.delete_user(user, name)
    except (OSError, TimeoutError, web.HTTPError) as error:
        handler.log.warning("the route of the lab of %s stays until the proxy answers: %r", user.name, error)
    spawner.stop_polling()
    for flag in PENDING_FLAGS:
        setattr(spawner, flag, False)
    spawner._spawn_future = None
    spawner.server = None
    spawner.clear_state()
    spawner.orm_spawner.state = spawner.get_state()
    handler.db.commit()
    user.spawners.pop(name, None)
    return str(state)


class ResetPage(BaseHandler):  # type: ignore[misc]  # untyped
    """Handler of the page on which an administrator resets a user."""

    @web.authenticated
    @needs_scope("admin:servers")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Show the page, with the state of each lab that is running, pending or failed."""
        labs = [
            {"user": user.name, "state": spawner.pending or ("running" if spawner.ready else "failed")}
            for user in self.users.values()
            for spawner in user.spawners.values()
            if spawner.active or spawner._failed
        ]
        self.finish(await self.render_template("user_reset.html", labs=sorted(labs, key=lambda lab: lab["user"])))
