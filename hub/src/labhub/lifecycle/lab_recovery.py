"""Recovery of labs that are running but missing from the database, for example after a backup was restored.

The pod contains all required data. The data can be trusted, because only the hub and administrators of the cluster can
create these pods.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime

from jupyterhub import orm, roles  # type: ignore[import-untyped]
from jupyterhub.app import JupyterHub  # type: ignore[import-untyped]
from jupyterhub.user import User  # type: ignore[import-untyped]
from sqlalchemy import func
from sqlalchemy.orm import Session

from labhub.labs.pod_status import is_running
from labhub.login.user_accounts import find_user, get_github_id, user_info
from labhub.models.pod_types import GITHUB_ID, OWNER, PREFIX, Pod
from labhub.telemetry import metrics

_log = logging.getLogger(__name__)
CONCURRENT_RECOVERIES = 10


def last_known_activity(db: Session) -> datetime:
    """Return the time of the last activity in the database, in UTC without a time zone, as JupyterHub stores it."""
    columns = (orm.User.created, orm.User.last_activity, orm.Spawner.started, orm.Spawner.last_activity)
    times = (time for column in columns for (time,) in db.query(func.max(column)).all())
    return max((time for time in times if time), default=datetime.min)


def creation_time(pod: Pod) -> datetime:
    """Return the time at which a pod was created, in UTC and without a time zone."""
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).replace(tzinfo=None)


def find_lost_labs(pods: Iterable[Pod], claimed: Iterable[str], known_until: datetime) -> list[Pod]:
    """Return the running labs that were created after the database's last activity.

    A pod that is older than this activity and missing from the database is not lost: the hub had decided to stop it.
    The reconciler deletes such a pod.

    Parameters
    ----------
    claimed
        Names of the pods that the database knows.
    known_until
        Time of the database's last activity.
    """
    claimed = set(claimed)
    return [
        pod
        for pod in pods
        if pod["metadata"]["name"] not in claimed
        and OWNER in pod["metadata"].get("annotations", {})
        and is_running(pod)
        and creation_time(pod) > known_until
    ]


async def recover_labs(app: JupyterHub, pods: Iterable[Pod]) -> None:
    """Store lost labs in the database, and create the users that are missing there."""
    slots = asyncio.Semaphore(CONCURRENT_RECOVERIES)

    async def recover(pod: Pod) -> None:
        async with slots:
            try:
                await _recover_lab(app, pod)
            # An error for one lab must not prevent the recovery of the others. The reconciler deletes this pod later.
            except Exception as error:
                _log.warning("cannot recover the lab %s: %s", pod["metadata"]["name"], error)

    await asyncio.gather(*(recover(pod) for pod in pods))


async def _recover_lab(app: JupyterHub, pod: Pod) -> None:
    user = await _find_owner(app, pod)
    if user is None or user.active:
        return
    labels = pod["metadata"]["labels"]
    spawner = user.get_or_create_spawner("", "", replace_failed=True)
    spawner.recovered_pod = pod
    # Other tasks, such as the check of routes, ignore a lab with this flag. JupyterHub's own handlers set it, too.
    spawner._spawn_pending = True
    try:
        await user.spawn("", options={name: labels[f"{PREFIX}/{name}"] for name in ("image", "size")})
    finally:
        # A failed recovery must not affect the user's next spawn.
        spawner._spawn_pending, spawner.recovered_pod = False, None
    row = spawner.orm_spawner
    # Correct two fields. JupyterHub has stored the current time as the start of the lab, and has cleared the scopes
    # because the lab has its own token.
    row.started = creation_time(pod)
    row.oauth_client.allowed_scopes = list(spawner.client_scopes)
    app.db.commit()
    metrics.RECONCILED.labels("adopted").inc()
    _log.warning("recovered the lab %s of %s, which was missing from the database", pod["metadata"]["name"], user.name)


async def _find_owner(app: JupyterHub, pod: Pod) -> User | None:
    """Return the user with the lab's GitHub id, or None if another account has the name. Create a missing user."""
    github_id = int(pod["metadata"]["labels"][GITHUB_ID])
    if user := find_user(app.users, github_id):
        return user
    name = pod["metadata"]["annotations"][OWNER]
    row = orm.User.find(app.db, name)
    if row and await get_github_id(app.users[row]) != github_id:
        _log.warning("cannot recover the lab %s: %s is now another GitHub account", pod["metadata"]["name"], name)
        return None
    if row is None:
        row = orm.User(name=name)
        app.db.add(row)
        roles.assign_default_roles(app.db, entity=row)
    row.user_info = user_info(github_id)
    app.db.commit()
    return app.users[row]
