"""Checks before a spawn: whether spawning is paused, whether the node of the user's lab answers, and the membership."""

from __future__ import annotations

import time
from typing import ClassVar

from jupyterhub.handlers import BaseHandler  # type: ignore[import-untyped]
from jupyterhub.user import User  # type: ignore[import-untyped]
from tornado import web
from tornado.httputil import url_concat

from labhub.labs.spawner import LabSpawner
from labhub.web.app_protocol import HubApp

# HTTP status of a refused start. The status is not 503, because nginx shows its own page
# for an unavailable hub if the hub answers with 503. JupyterHub itself answers 429 if too many labs are starting.
PAUSED_STATUS = 429
RETRY_AFTER_SECONDS = "60"
# Seconds after a membership check in which a spawn needs no new check. The check takes half a second, and GitHub limits
# the number of requests.
RECENT_SECONDS = 30
RECOVERING_MESSAGE = "The hub has just started and is looking for running labs. Try again in a minute."


class SpawnPausedError(web.HTTPError):
    """Error for a request to start a lab while spawning is paused."""

    headers: ClassVar = {"Retry-After": RETRY_AFTER_SECONDS}  # JupyterHub adds these headers to the response

    def __init__(self, message: str) -> None:
        super().__init__(PAUSED_STATUS, message)


def check_spawning_allowed(app: HubApp) -> None:
    """Check that users may start labs. A pause applies to all users, including administrators.

    Raises
    ------
    SpawnPausedError
        Raised while an announcement pauses spawning, and while the hub recovers lost labs.
    """
    if announcement := app.announcements.pause:
        raise SpawnPausedError(announcement.pause_message())
    if app.recovering_labs:
        # The user's lab may be a running lab that the hub is about to recover. A second lab must not start.
        raise SpawnPausedError(RECOVERING_MESSAGE)


async def show_pause(handler: BaseHandler, app: HubApp, user_name: str, server_name: str) -> bool:
    """Show the page `spawn_paused.html` if an announcement pauses spawning. Return whether this page was shown.

    Do not show the page to a user with a running lab, whom JupyterHub redirects to the lab.
    """
    user = handler.find_user(user_name)
    if not app.announcements.pause or not user or _has_active_lab(user, server_name):
        return False
    handler.set_status(PAUSED_STATUS)
    handler.set_header("Retry-After", RETRY_AFTER_SECONDS)
    # Keep only the argument `next` in the link. JupyterHub would interpret any other argument as an option, and start a
    # lab at once.
    arguments = {"next": handler.get_argument("next")} if handler.get_argument("next", "") else {}
    retry_url = url_concat(handler.request.path, arguments)
    handler.finish(await handler.render_template("spawn_paused.html", for_user=user, again=retry_url))
    return True


def _has_active_lab(user: User, server_name: str) -> bool:
    return server_name in user.spawners and bool(user.spawners[server_name].active)


async def show_lost_lab(handler: BaseHandler, user_name: str, server_name: str) -> bool:
    """Show the page `lost_lab.html` if the node of the user's lab does not answer. Return whether this page was shown.

    If the lab has ended, mark it as stopped and do not show the page. The spawn page then shows why the lab has ended.
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
    """Re-check the user's membership before a spawn, unless the last check is at most `RECENT_SECONDS` old.

    Raises
    ------
    HTTPError
        Raised with status 403 if the user has lost access.
    """
    if user._auth_refreshed and time.monotonic() - user._auth_refreshed < RECENT_SECONDS:
        # Add the user to the users whom JupyterHub has already re-checked during this request. So JupyterHub does not
        # check the user again.
        handler._refreshed_users = {user.name}
    elif await handler.refresh_auth(user, force=True) is None:
        raise web.HTTPError(403, "Your login has expired, %s. Log in again.", user.name)


def refuse_during_pause(spawner: LabSpawner) -> None:
    """Refuse a start during a pause. This is JupyterHub's `pre_spawn_hook`.

    The hub uses this hook only with an untested version of JupyterHub. With a tested version, `SpawnPauseMixin` refuses
    the start earlier. JupyterHub calls the hook some time after the request, so a pause that begins in this time also
    refuses the start. The hook does not refuse the recovery of a lost lab.

    Raises
    ------
    SpawnPausedError
        Raised while spawning is paused.
    """
    if spawner.recovered_pod is not None:
        return
    try:
        check_spawning_allowed(spawner.user.settings["app"])
    except SpawnPausedError:
        spawner.pod_name = ""  # the following `stop` must not delete a running pod
        raise
