"""Pages and calls of ours: is the hub alive, the start of a lab, how an administrator frees a user who is stuck."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from jupyterhub.apihandlers.base import APIHandler  # type: ignore[import-untyped]
from jupyterhub.apihandlers.users import (  # type: ignore[import-untyped]
    ActivityAPIHandler,
    SpawnProgressAPIHandler,
    UserServerAPIHandler,
)
from jupyterhub.handlers import BaseHandler  # type: ignore[import-untyped]
from jupyterhub.handlers.pages import HealthCheckHandler, SpawnHandler  # type: ignore[import-untyped]
from jupyterhub.scopes import needs_scope  # type: ignore[import-untyped]
from jupyterhub.user import User  # type: ignore[import-untyped]
from tornado import web
from tornado.httputil import url_concat

from labhub.web import announcement as announcer
from labhub.telemetry import audit as audit
from labhub.telemetry import metrics as metrics
from labhub.login.user_accounts import stored_id
from labhub.web.announcement import Gated
from labhub.labs.spawner import LabSpawner

if TYPE_CHECKING:
    from labhub.app import LabHub

# A watch that lives tries at least every 40 s, whether or not anybody answers.
DEAD_SECONDS = 120
# GitHub's answer is good for a spawn for so long: each question takes it half a second, and it counts them.
RECENT_SECONDS = 30


class LiveHandler(HealthCheckHandler):  # type: ignore[misc]  # untyped
    """For the liveness probe: this process cannot mend itself, if this fails.

    That the API is away is no failure: starting the hub anew would not bring it back, and the hub would be away, too.
    """

    app: LabHub

    def get(self) -> None:
        """Answer 200 while the watches try, whatever they find."""
        for one in (self.app.pods, self.app.events):
            if one.idle > DEAD_SECONDS:
                self.set_status(503)
                self.finish(f"the watch of {one.kind} has not tried for {one.idle:.0f} s\n")
                return
        self.finish("alive\n")


class SpawnPage(Gated, SpawnHandler):  # type: ignore[misc]  # untyped
    """The page on which one chooses a lab, and its start.

    JupyterHub's asks GitHub whether its user may still come in, and after a second of that sends them to the page that
    waits, which finds no lab that starts and says so.
    """

    @needs_scope("servers")  # type: ignore[untyped-decorator]
    async def _get(self, user_name: str, server_name: str, display_name: str) -> None:
        if not await self._refuses(user_name, server_name):
            await super()._get(user_name=user_name, server_name=server_name, display_name=display_name)

    @needs_scope("servers")  # type: ignore[untyped-decorator]
    async def _post(self, user_name: str, server_name: str, display_name: str) -> None:
        if not await self._refuses(user_name, server_name):
            await super()._post(user_name=user_name, server_name=server_name, display_name=display_name)

    async def _refuses(self, user_name: str, server_name: str) -> bool:
        """Show why no lab is started, if that is so; who has one comes to it."""
        user = self.find_user(user_name)
        if not self.app.board.stop or not user or (server_name in user.spawners and user.spawners[server_name].active):
            return False
        self.set_status(announcer.REFUSED)
        self.set_header("Retry-After", announcer.RETRY_AFTER)
        # Only where to go then: JupyterHub would take anything else in the address for a choice, and start with it.
        where = {"next": self.get_argument("next")} if self.get_argument("next", "") else {}
        again = url_concat(self.request.path, where)
        self.finish(await self.render_template("stopped.html", for_user=user, again=again))
        return True

    async def _wrap_spawn_single_user(
        self, user: User, server_name: str, display_name: str, spawner: LabSpawner, pending_url: str, *more: object
    ) -> None:
        """Start a lab once GitHub has answered, now or a moment ago: most have just logged in."""
        if user._auth_refreshed and time.monotonic() - user._auth_refreshed < RECENT_SECONDS:
            # In one request JupyterHub asks once, and goes by this.
            self._refreshed_users = {user.name}
        elif await self.refresh_auth(user, force=True) is None:
            raise web.HTTPError(403, "auth has expired for %s, login again", user.name)
        if spawner.active:  # from another tab, meanwhile
            self.redirect(pending_url)
        else:
            await super()._wrap_spawn_single_user(user, server_name, display_name, spawner, pending_url, *more)


class ServerCall(Gated, UserServerAPIHandler):  # type: ignore[misc]  # untyped
    """The same by the API, which the page for administrators uses, too."""


class ActivityCall(ActivityAPIHandler):  # type: ignore[misc]  # untyped
    """A lab's report of activity: of thousands of labs, most of what an idle hub has to do.

    JupyterHub asks GitHub about its user, which the sweep does (`labhub.login.membership_refresh`), and notes that the token was used.
    A lab's first report comes when it is about to answer, which the hub could not know.
    """

    def post(self, user_name: str) -> None:
        """Take the report, from who may send it."""
        super().post(user_name)
        user = self.find_user(user_name)
        for spawner in user.spawners.values() if user else ():
            if spawner.pending == "spawn" and isinstance(spawner, LabSpawner):
                spawner.look()

    async def refresh_auth(self, user: User, force: bool = False) -> User:
        """Take the lab's word as it is."""
        return user

    def _record_activity(self, obj: object, timestamp: object = None) -> bool:
        return False


class ProgressCall(SpawnProgressAPIHandler):  # type: ignore[misc]  # untyped
    """What the page that waits is told, without the sign of life that JupyterHub sends before the first news."""

    async def keepalive(self) -> None:
        """Give a sign of life from time to time."""
        await asyncio.wait([self._finish_future], timeout=self.keepalive_interval)
        await super().keepalive()


class ResetHandler(APIHandler):  # type: ignore[misc]  # untyped
    """`POST /hub/api/users/<name>/reset`: whatever state a user's lab is in, it is stopped, and they can start anew."""

    @needs_scope("admin:servers")  # type: ignore[untyped-decorator]
    async def post(self, user_name: str) -> None:
        """Reset a user; the answer says what was there."""
        user = self.find_user(user_name)
        if user is None:
            raise web.HTTPError(404, f"no such user: {user_name}")
        servers = {name or "default": await reset(self, user, name) for name in list(user.spawners)}
        metrics.RECONCILED.labels("reset").inc()
        audit.reset(user.name, await stored_id(user), self.current_user.name, servers)
        self.finish(json.dumps({"user": user.name, "servers": servers}))


async def reset(handler: BaseHandler, user: User, name: str) -> str:
    """Stop one server by all means; give what was found."""
    spawner: LabSpawner = user.spawners[name]
    found = spawner.pending or ("running" if spawner.ready else "stopped")
    for future in (spawner._spawn_future, getattr(spawner, "_stop_future", None)):
        if future and not future.done():
            future.cancel()
    await spawner.remove()
    try:
        await handler.proxy.delete_user(user, name)
    except (OSError, TimeoutError, web.HTTPError) as error:
        handler.log.warning("%s: the route stays until the proxy answers: %r", user.name, error)
    spawner.stop_polling()
    for flag in ("_spawn_pending", "_start_pending", "_stop_pending", "_check_pending", "_proxy_pending"):
        setattr(spawner, flag, False)
    spawner._spawn_future = None
    spawner.server = None
    spawner.clear_state()
    spawner.orm_spawner.state = spawner.get_state()
    handler.db.commit()
    user.spawners.pop(name, None)
    return str(found)


class ResetPage(BaseHandler):  # type: ignore[misc]  # untyped
    """The page from which an administrator does that."""

    @web.authenticated
    @needs_scope("admin:servers")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Show who has a lab, in which state."""
        labs = [
            {"user": user.name, "state": spawner.pending or ("running" if spawner.ready else "failed")}
            for user in self.users.values()
            for spawner in user.spawners.values()
            if spawner.active or spawner._failed
        ]
        self.finish(await self.render_template("reset.html", labs=sorted(labs, key=lambda lab: lab["user"])))


HANDLERS = [
    *announcer.HANDLERS,
    (r"/live", LiveHandler),
    (r"/reset", ResetPage),
    (r"/spawn", SpawnPage),
    (r"/spawn/([^/]+)", SpawnPage),
    (r"/spawn/([^/]+)/([^/]+)", SpawnPage),
    (r"/api/users/([^/]+)/server", ServerCall),
    (r"/api/users/([^/]+)/servers/([^/]*)", ServerCall),
    (r"/api/users/([^/]+)/server/progress", ProgressCall),
    (r"/api/users/([^/]+)/servers/([^/]*)/progress", ProgressCall),
    (r"/api/users/([^/]+)/activity", ActivityCall),
    (r"/api/users/([^/]+)/reset", ResetHandler),
]
