"""Checks before a spawn: paused spawning, a lab that has lost its node, and the user's membership."""

from __future__ import annotations

import time
from typing import ClassVar

from jupyterhub.handlers import BaseHandler  # type: ignore[import-untyped]
from jupyterhub.user import User  # type: ignore[import-untyped]
from tornado import web
from tornado.httputil import url_concat

from labhub.labs.spawner import LabSpawner
from labhub.web.app_protocol import HubApp

# Not 503: nginx replaces the hub's 503 with its own page for an unavailable hub. JupyterHub also answers 429 if too
# many labs are running.
PAUSED_STATUS = 429
RETRY_AFTER_SECONDS = "60"
# Seconds for which a membership check is valid for a spawn. A request to GitHub takes half a second, and GitHub limits
# the number of requests.
RECENT_SECONDS = 30
RECOVERING_MESSAGE = "The hub has just started and is looking for running labs. Try again in a minute."


class SpawnPausedError(web.HTTPError):
    """Error for a request to start a lab while spawning is paused."""

    headers: ClassVar = {"Retry-After": RETRY_AFTER_SECONDS}  # JupyterHub adds these to the response

    def __init__(self, message: str) -> None:
        super().__init__(PAUSED_STATUS, message)


def check_spawning_allowed(app: HubApp) -> None:
    """Check that users may start labs. The pause applies to all users, including administrators.

    Raises
    ------
    SpawnPausedError
        Raised while an announcement pauses spawning, and while the hub recovers lost labs.
    """
    if announcement := app.announcements.pause:
        raise SpawnPausedError(announcement.pause_message())
    if app.recovering_labs:
        # The lab of this user can be one of the lost labs.
        raise SpawnPausedError(RECOVERING_MESSAGE)


async def show_pause(handler: BaseHandler, app: HubApp, user_name: str, server_name: str) -> bool:
    """Show the pause instead of the spawn page if spawning is paused, and return whether the page was shown.

    A user with a running lab is redirected to the lab as usual.
    """
    user = handler.find_user(user_name)
    if not app.announcements.pause or not user or _has_active_lab(user, server_name):
        return False
    handler.set_status(PAUSED_STATUS)
    handler.set_header("Retry-After", RETRY_AFTER_SECONDS)
    # Keep only `next`: JupyterHub would interpret any other argument as a choice, and start a lab with it.
    arguments = {"next": handler.get_argument("next")} if handler.get_argument("next", "") else {}
    retry_url = url_concat(handler.request.path, arguments)
    handler.finish(await handler.render_template("spawn_paused.html", for_user=user, again=retry_url))
    return True


def _has_active_lab(user: User, server_name: str) -> bool:
    return server_name in user.spawners and bool(user.spawners[server_name].active)


async def show_lost_lab(handler: BaseHandler, user_name: str, server_name: str) -> bool:
    """Show a page instead of a redirect to a lab that has lost its node, and return whether the page was shown.

    If the lab has ended, JupyterHub marks it as stopped and the page is not shown. The spawn page then shows why the
    lab ended.
    """
    user = handler.find_user(user_name)
    if not user or not _has_active_lab(user, server_name):
        return False
    spawner = user.spawners[server_name]
    # The hub of the demo starts labs as processes, without nodes.
    node = await spawner.find_lost_node() if spawner.ready and isinstance(spawner, LabSpawner) else ""
    if not node or await spawner.poll_and_notify() is not None:
        return False
    handler.finish(await handler.render_template("lost_lab.html", user=user, node=node))
    return True


async def confirm_access(handler: BaseHandler, user: User) -> None:
    """Re-check the user's membership before a spawn, unless the last check is recent, for example from the login.

    Raises
    ------
    HTTPError
        Raised with status 403 if the user has lost access.
    """
    if user._auth_refreshed and time.monotonic() - user._auth_refreshed < RECENT_SECONDS:
        # JupyterHub re-checks a user once per request, and skips the users in this set.
        handler._refreshed_users = {user.name}
    elif await handler.refresh_auth(user, force=True) is None:
        raise web.HTTPError(403, "Your login has expired, %s. Log in again.", user.name)


def refuse_during_pause(spawner: LabSpawner) -> None:
    """Refuse a start during a pause. This is JupyterHub's `pre_spawn_hook`.

    The hook is for an untested version of JupyterHub, whose own handlers start labs. JupyterHub calls it late: a pause
    that begins during a start ends this start, too. The recovery of a lost lab is not refused.

    Raises
    ------
    SpawnPausedError
        Raised during a pause.
    """
    if spawner.recovered_pod is not None:
        return
    try:
        check_spawning_allowed(spawner.user.settings["app"])
    except SpawnPausedError:
        spawner.pod_name = ""  # JupyterHub now calls `stop`, which must not delete a running pod of this name
        raise
