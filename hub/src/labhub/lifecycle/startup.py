"""The labs that ran when the hub ended: they still do, or are over.

In the place of JupyterHub's `init_spawners`, which loads each user with queries of its own, and asks each lab over HTTP
whether it is there, to stop it if it is slow: Kubernetes knows which of them run.
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


async def take_up(app: JupyterHub) -> int:
    """Look which labs still run; give of how many that was to be found out.

    All of them are being checked from before the first `await`: nobody starts another, and no route is taken away.
    """
    rows = (
        app.db.query(orm.Spawner)
        .filter(orm.Spawner.server_id != None)  # noqa: E711  (SQL)
        .options(selectinload(orm.Spawner.user).selectinload(orm.User._orm_spawners))
        .all()
    )
    checks = []
    for row in rows:
        user = app.users[row.user]
        spawner = user.spawners[row.name]
        spawner._check_pending = True
        checks.append(_check(app, user, spawner))
    await asyncio.gather(*checks)
    app.db.commit()
    RUNNING_SERVERS.set(sum(spawner.active for user in app.users.values() for spawner in user.spawners.values()))
    return len(checks)


async def _check(app: JupyterHub, user: User, spawner: LabSpawner) -> None:
    try:
        if user.name not in app.authenticator.blocked_users and await _runs(app, user, spawner):
            spawner.add_poll_callback(partial(_end, app), user, spawner.name)
            spawner.start_polling()
        else:
            _log.warning("the lab of %s has ended while the hub was away", user.name)
            await user.stop(spawner.name)
    # Whatever is wrong with one, the others are looked at.
    except Exception:
        _log.exception("the lab of %s cannot be looked at", user.name)
    finally:
        spawner._check_pending = False


async def _runs(app: JupyterHub, user: User, spawner: LabSpawner) -> bool:
    if await spawner.poll() is not None:
        return False
    url = urlparse(await spawner.get_url())
    server = spawner.server
    if (url.hostname, url.port) == (server.ip, server.port):
        return True
    # It was starting when the hub was killed.
    server.ip, server.port = url.hostname, url.port
    app.db.commit()
    try:
        await user._wait_up(spawner)
    except AnyTimeoutError:
        return False
    return True


async def _end(app: JupyterHub, user: User, name: str) -> None:
    """Release a lab that has ended, as JupyterHub does."""
    _log.warning("the lab of %s has ended", user.name)
    await app.proxy.delete_user(user, name)
    await user.stop(name)
