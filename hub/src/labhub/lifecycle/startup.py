"""Check of all labs in the database at the hub's start, by comparison with the pods in Kubernetes.

This replaces JupyterHub's `init_spawners`, for three reasons. JupyterHub's method loads each user with several queries,
sends an HTTP request to each lab, and stops a lab that answers slowly.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from urllib.parse import urlparse

from jupyterhub import orm  # type: ignore[import-untyped]
from jupyterhub.app import JupyterHub  # type: ignore[import-untyped]
from jupyterhub.metrics import RUNNING_SERVERS  # type: ignore[import-untyped]
from jupyterhub.user import User  # type: ignore[import-untyped]
from sqlalchemy.orm import selectinload

from labhub.labs.launcher import lab_url
from labhub.labs.pod_status import has_ended, is_running, is_terminating
from labhub.labs.spawner import LabSpawner

_log = logging.getLogger(__name__)


async def check_running_labs(app: JupyterHub) -> int:
    """Check all labs that were running when the hub stopped, and return the number of these labs.

    Mark all labs as being checked before the first `await`. So no other task starts a second lab for a user, or deletes
    a lab's route.
    """
    rows = (
        app.db.query(orm.Spawner)
        .filter(orm.Spawner.server_id.is_not(None))
        .options(selectinload(orm.Spawner.user).selectinload(orm.User._orm_spawners))
        .all()
    )
    checks = []
    for row in rows:
        user = app.users[row.user]
        spawner = user.spawners[row.name]
        spawner._check_pending = True
        checks.append(_check_lab(app, user, spawner))
    await asyncio.gather(*checks)
    app.db.commit()
    RUNNING_SERVERS.set(sum(spawner.active for user in app.users.values() for spawner in user.spawners.values()))
    return len(checks)


async def _check_lab(app: JupyterHub, user: User, spawner: LabSpawner) -> None:
    try:
        if user.name in app.authenticator.blocked_users or await spawner.poll() is not None:
            _log.warning("stopping the lab of %s: it no longer runs, or its user is blocked", user.name)
            await user.stop(spawner.name)
        elif is_starting(spawner):
            resume_start(app, user, spawner)
        else:
            _follow_lab(app, user, spawner)
    # Catch all errors, because an error for one lab must not prevent the check of the others.
    except Exception:
        _log.exception("cannot check the lab of %s", user.name)
    finally:
        spawner._check_pending = False


def is_starting(spawner: LabSpawner) -> bool:
    """Return whether a lab was starting when the hub stopped.

    A starting lab has a pod, and the database does not yet contain the address of the lab.
    """
    pod = spawner.launcher.find_pod(spawner.pod_name)
    if pod is None or has_ended(pod) or is_terminating(pod):
        return False
    url = urlparse(lab_url(pod)) if is_running(pod) else None
    return url is None or (url.hostname, url.port) != (spawner.server.ip, spawner.server.port)


def resume_start(app: JupyterHub, user: User, spawner: LabSpawner) -> None:
    """Continue the start of a lab that was starting when the hub stopped.

    JupyterHub treats this start like a start that the user has just requested. So the progress page shows the start,
    and the user can cancel the start. The hub does not wait for the labs before it answers requests, because the wait
    for a node can take minutes.
    """
    _log.info("continuing the start of the lab of %s", user.name)
    spawner._spawn_pending = True
    start = spawner._spawn_future = asyncio.ensure_future(_finish_start(app, user, spawner))

    def note_end(start: asyncio.Future[None]) -> None:
        # Keep the future of a failed start, as JupyterHub does, because the pages read the error from this future.
        if start.cancelled() or start.exception() is None:
            spawner._spawn_future = None
        spawner._spawn_pending = False

    start.add_done_callback(note_end)


async def _finish_start(app: JupyterHub, user: User, spawner: LabSpawner) -> None:
    try:
        url = urlparse(await spawner.resume())
    except Exception:
        await _release_failed_start(user, spawner)
        raise
    spawner.server.ip, spawner.server.port = url.hostname, url.port
    app.db.commit()
    await user._wait_up(spawner)  # JupyterHub's method stops a lab that does not answer
    try:
        await app.proxy.add_user(user, spawner.name)
    except Exception:  # JupyterHub's proxies raise various errors
        _log.warning("the lab of %s gets its route with the next check of all routes", user.name, exc_info=True)
    _follow_lab(app, user, spawner)


async def _release_failed_start(user: User, spawner: LabSpawner) -> None:
    try:
        await user.stop(spawner.name)
    except Exception as error:  # only log it: the caller raises the error of the start
        _log.warning("cannot stop the lab of %s, which did not start: %r", user.name, error)


def _follow_lab(app: JupyterHub, user: User, spawner: LabSpawner) -> None:
    spawner.add_poll_callback(partial(_release_lab, app), user, spawner.name)
    spawner.start_polling()


async def _release_lab(app: JupyterHub, user: User, name: str) -> None:
    """Delete the route of a lab that has ended, and mark the lab as stopped, as JupyterHub does."""
    _log.warning("the lab of %s has ended", user.name)
    await app.proxy.delete_user(user, name)
    await user.stop(name)
