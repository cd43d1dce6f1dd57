"""Replacements for handlers of JupyterHub. An untested version of JupyterHub keeps its own handlers."""

from __future__ import annotations

from jupyterhub.apihandlers.users import ActivityAPIHandler, UserServerAPIHandler  # type: ignore[import-untyped]
from jupyterhub.handlers import BaseHandler  # type: ignore[import-untyped]
from jupyterhub.handlers.pages import SpawnHandler  # type: ignore[import-untyped]
from jupyterhub.scopes import needs_scope  # type: ignore[import-untyped]
from jupyterhub.user import User  # type: ignore[import-untyped]

from labhub.labs.spawner import LabSpawner
from labhub.web.activity_reports import notify_pending_starts
from labhub.web.app_protocol import HubApp
from labhub.web.spawn import check_spawning_allowed, confirm_access, show_lost_lab, show_pause
from labhub.web.start_cancellation import cancel_start, check_stop_allowed


class SpawnPauseMixin(BaseHandler):  # type: ignore[misc]  # untyped
    """Refusal of starts during a pause, before JupyterHub changes its state.

    Why: otherwise `pre_spawn_hook` refuses the start, after JupyterHub has stored a server and a token.
    Gain: no failed spawn in the user's history, and status 429 with `Retry-After`.
    Upstream: a hook before `spawn_single_user`.
    """

    app: HubApp

    async def spawn_single_user(
        self, user: User, server_name: str = "", display_name: str = "", options: object = None
    ) -> None:
        """Start a lab.

        Raises
        ------
        SpawnPausedError
            Raised during a pause.
        """
        check_spawning_allowed(self.app)
        await super().spawn_single_user(user, server_name, display_name, options=options)


class SpawnPage(SpawnPauseMixin, SpawnHandler):  # type: ignore[misc]  # untyped
    """The spawn page. It shows a pause, and re-checks the user's membership before it redirects to the progress page.

    If a lab has lost its node, the page shows that instead of a redirect to the lab.

    Why: JupyterHub re-checks the membership during the spawn, and redirects after a second. If GitHub takes longer, the
    progress page finds no pending spawn and reports that the lab is not running. JupyterHub treats a lab that has lost
    its node as running until the pod has ended.
    Gain: correctness. A spawn is half a second faster if the membership has just been checked at the login.
    Upstream: count the re-check as part of the pending spawn.
    """

    @needs_scope("servers")  # type: ignore[untyped-decorator]
    async def _get(self, user_name: str, server_name: str, display_name: str) -> None:
        shown = await show_pause(self, self.app, user_name, server_name)
        if not shown and not await show_lost_lab(self, user_name, server_name):
            await super()._get(user_name=user_name, server_name=server_name, display_name=display_name)

    @needs_scope("servers")  # type: ignore[untyped-decorator]
    async def _post(self, user_name: str, server_name: str, display_name: str) -> None:
        if not await show_pause(self, self.app, user_name, server_name):
            await super()._post(user_name=user_name, server_name=server_name, display_name=display_name)

    async def _wrap_spawn_single_user(
        self,
        user: User,
        server_name: str,
        display_name: str,
        spawner: LabSpawner,
        pending_url: str,
        *arguments: object,
    ) -> None:
        await confirm_access(self, user)
        if spawner.active:  # started from another browser tab during the check
            self.redirect(pending_url)
        else:
            await super()._wrap_spawn_single_user(user, server_name, display_name, spawner, pending_url, *arguments)


class ServerHandler(SpawnPauseMixin, UserServerAPIHandler):  # type: ignore[misc]  # untyped
    """The API calls that start and stop a lab. The admin page uses them, too.

    Why: JupyterHub interrupts a pending start, waits a second, and then stops the lab. During this second its pages
    show that no lab is starting, and a second request to stop the lab fails with status 500. A pod that JupyterHub has
    requested just before the interruption is not deleted. While a restarted hub checks a lab, a request to stop the lab
    fails with status 500.
    Gain: correctness. A user can cancel a start that waits for a node, and start another lab at once.
    Upstream: mark the lab as stopping before the interruption.
    """

    @needs_scope("delete:servers")  # type: ignore[untyped-decorator]
    async def delete(self, user_name: str, server_name: str = "") -> None:
        """Stop a lab, or cancel its pending start. Answer with 204 if the lab has stopped, or 202 if it is stopping."""
        user = self.find_user(user_name)
        spawner = user.spawners.get(server_name) if user else None
        if spawner:
            check_stop_allowed(spawner)
        if not spawner or spawner.pending != "spawn":
            await super().delete(user_name, server_name)
            return
        self.log.info("%s cancels the start of the lab of %s", self.current_user.name, user.name)
        self.set_header("Content-Type", "text/plain")
        self.set_status(204 if await cancel_start(self.proxy, user, spawner) else 202)


class ActivityHandler(ActivityAPIHandler):  # type: ignore[misc]  # untyped
    """The API call with which a lab reports its activity.

    Why: for each report JupyterHub re-checks the user at GitHub, although the hub's regular sweep does this, too. It
    also stores the time at which the lab's token was used.
    Gain: a third of the CPU of an idle hub with thousands of labs. The first report also wakes a pending start,
    because the lab is about to answer.
    Upstream: a setting to skip `refresh_auth` and the token's activity for reports.
    """

    def post(self, user_name: str) -> None:
        """Store the report, and wake the user's pending starts."""
        super().post(user_name)
        notify_pending_starts(self.find_user(user_name))

    async def refresh_auth(self, user: User, force: bool = False) -> User:
        """Return the user without a re-check of the membership."""
        return user

    def _record_activity(self, obj: object, timestamp: object = None) -> bool:
        return False


ROUTES = [
    (r"/spawn", SpawnPage),
    (r"/spawn/([^/]+)", SpawnPage),
    (r"/spawn/([^/]+)/([^/]+)", SpawnPage),
    (r"/api/users/([^/]+)/server", ServerHandler),
    (r"/api/users/([^/]+)/servers/([^/]*)", ServerHandler),
    (r"/api/users/([^/]+)/activity", ActivityHandler),
]
