"""Replacements for handlers of JupyterHub.

If the installed version of JupyterHub is untested, the hub uses JupyterHub's own handlers.
"""

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
    """Refusal of a lab's start while spawning is paused, before JupyterHub writes to its database.

    Why: without this class, only the hook `pre_spawn_hook` could refuse the start, after JupyterHub has stored a server
    and a token.
    Gain: the refused start does not count as a failed spawn of the user. The response has status 429 and the header
    `Retry-After`.
    Upstream: a hook before `spawn_single_user`.
    """

    app: HubApp

    async def spawn_single_user(
        self, user: User, server_name: str = "", display_name: str = "", options: object = None
    ) -> None:
        """Start a lab, unless spawning is paused.

        Raises
        ------
        SpawnPausedError
            Raised during a pause.
        """
        check_spawning_allowed(self.app)
        await super().spawn_single_user(user, server_name, display_name, options=options)


class SpawnPage(SpawnPauseMixin, SpawnHandler):  # type: ignore[misc]  # untyped
    """The spawn page, with a re-check of the user's membership before the redirect to the progress page.

    While spawning is paused, the hub shows a page about the pause instead of the spawn page.

    If the node of the user's lab does not answer, the hub shows a page that reports this, and does not redirect to the
    lab.

    Why: JupyterHub re-checks the membership during the request for a spawn, and redirects to the progress page after a
    second. If GitHub has not answered by then, no spawn is pending, and the progress page reports that the lab is not
    running. If the node of a lab does not answer, JupyterHub treats the lab as running until the pod has ended.
    Gain: correctness. If the login has just checked the membership, the spawn is half a second faster than with a
    second check.
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
        if spawner.active:  # another browser tab has started the lab during the check
            self.redirect(pending_url)
        else:
            await super()._wrap_spawn_single_user(user, server_name, display_name, spawner, pending_url, *arguments)


class ServerHandler(SpawnPauseMixin, UserServerAPIHandler):  # type: ignore[misc]  # untyped
    """The API calls that start and stop a lab. The hub's own pages and JupyterHub's admin page send these calls.

    Why: to cancel a pending start, JupyterHub interrupts the start, waits a second, and then stops the lab. During this
    second JupyterHub's pages show that no lab is starting, and a second request to stop the lab fails with status 500.
    If the hub has requested a pod just before the interruption, JupyterHub does not delete the pod. While a restarted
    hub checks a lab, a request to stop the lab fails with status 500.
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
    """The API call with which a lab reports its activity to the hub.

    Why: for each report JupyterHub re-checks the user's membership at GitHub, although the hub re-checks all users with
    a running lab regularly. For each report JupyterHub also stores the time at which the lab's token was last used.
    Gain: a third of the CPU time of an idle hub with thousands of labs. In addition, a lab's first report wakes its
    pending start, which then connects to the lab without a pause.
    Upstream: a setting that turns off `refresh_auth` and the update of the token's last use for activity reports.
    """

    def post(self, user_name: str) -> None:
        """Store the report of a lab, and wake the tasks that wait for the start of the user's labs."""
        super().post(user_name)
        notify_pending_starts(self.find_user(user_name))

    async def refresh_auth(self, user: User, force: bool = False) -> User:
        """Return the user unchanged, without a re-check of the membership at GitHub."""
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
