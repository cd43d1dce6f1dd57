"""Check of all labs in the database at the hub's start: Kubernetes reports which of their pods run.

This replaces JupyterHub's `init_spawners`, which loads each user with several queries, sends an HTTP request to each
lab, and stops a lab that answers slowly.
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
from jupyterhub.utils import AnyTimeoutError  # type: ignore[import-untyped]
from sqlalchemy.orm import selectinload

from labhub.labs.spawner import LabSpawner

_log = logging.getLogger(__name__)


async def check_running_labs(app: JupyterHub) -> int:
    """Check all labs that were running when the hub stopped, and return their number.

    All spawners are marked as being checked before the first `await`, so no second lab starts and no route is deleted.
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
        if user.name not in app.authenticator.blocked_users and await _is_running(app, user, spawner):
            spawner.add_poll_callback(partial(_release_lab, app), user, spawner.name)
            spawner.start_polling()
        else:
            _log.warning("stopping the lab of %s: it no longer runs, or its user is blocked", user.name)
            await user.stop(spawner.name)
    # An error for one lab must not prevent the check of the others.
    except Exception:
        _log.exception("cannot check the lab of %s", user.name)
    finally:
        spawner._check_pending = False


async def _is_running(app: JupyterHub, user: User, spawner: LabSpawner) -> bool:
    if await spawner.poll() is not None:
        return False
    url = urlparse(await spawner.get_url())
    server = spawner.server
    if (url.hostname, url.port) == (server.ip, server.port):
        return True
    # The lab was starting when the hub was killed, so its address is not stored yet.
    server.ip, server.port = url.hostname, url.port
    app.db.commit()
    try:
        await user._wait_up(spawner)
    except AnyTimeoutError:
        return False
    return True


async def _release_lab(app: JupyterHub, user: User, name: str) -> None:
    """Delete the route and the server of a lab that has ended, as JupyterHub does."""
    _log.warning("the lab of %s has ended", user.name)
    await app.proxy.delete_user(user, name)
    await user.stop(name)
