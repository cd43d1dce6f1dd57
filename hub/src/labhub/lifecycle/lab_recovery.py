"""Recovery of labs that are running but missing from the database, for example after a backup was restored.

The hub reads all required data from the lab's pod. The hub can trust this data, because only the hub and administrators
of the cluster can create pods in the labs' namespace.
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
    """Return the latest time of an activity in the database, in UTC without a time zone, as JupyterHub stores it."""
    columns = (orm.User.created, orm.User.last_activity, orm.Spawner.started, orm.Spawner.last_activity)
    times = (time for column in columns for (time,) in db.query(func.max(column)).all())
    return max((time for time in times if time), default=datetime.min)


def creation_time(pod: Pod) -> datetime:
    """Return the time at which a pod was created, in UTC and without a time zone."""
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).replace(tzinfo=None)


def find_lost_labs(pods: Iterable[Pod], claimed: Iterable[str], known_until: datetime) -> list[Pod]:
    """Return the running labs that were created after the database's last activity.

    If a pod is older than this activity, but missing from the database, the hub had already released the lab. Such a
    lab is not lost, and the reconciler deletes its pod.

    Parameters
    ----------
    claimed
        Names of the pods of all labs in the database.
    known_until
        Time of the last activity in the database.
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
    """Store lost labs in the database. If a lab's user is also missing from the database, create the user."""
    slots = asyncio.Semaphore(CONCURRENT_RECOVERIES)

    async def recover(pod: Pod) -> None:
        async with slots:
            try:
                await _recover_lab(app, pod)
            # Catch all errors, because an error for one lab must not prevent the recovery of the others. The reconciler
            # later deletes the pod of a lab that was not recovered.
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
    # Set this flag as JupyterHub's own handlers do before a start. Other tasks, such as the check of routes, ignore a
    # lab with the flag.
    spawner._spawn_pending = True
    try:
        await user.spawn("", options={name: labels[f"{PREFIX}/{name}"] for name in ("image", "size")})
    finally:
        # Reset the two attributes even if the recovery has failed, so that the user's next spawn works.
        spawner._spawn_pending, spawner.recovered_pod = False, None
    row = spawner.orm_spawner
    # Correct two fields. JupyterHub has stored the current time as the start of the lab. JupyterHub has also cleared
    # the scopes, because the spawner has set the API token itself.
    row.started = creation_time(pod)
    row.oauth_client.allowed_scopes = list(spawner.client_scopes)
    app.db.commit()
    metrics.RECONCILED.labels("adopted").inc()
    _log.warning("recovered the lab %s of %s, which was missing from the database", pod["metadata"]["name"], user.name)


async def _find_owner(app: JupyterHub, pod: Pod) -> User | None:
    """Return the user of a lab, and create a missing user.

    The label `github-id` of the lab's pod identifies the user. Return None if the user name now belongs to another
    GitHub account.
    """
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
