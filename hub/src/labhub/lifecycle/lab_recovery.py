"""Labs that run, and of which the database knows nothing: it was lost, or is an older one again.

Which they are is written on their pods, which nobody but the hub and the cluster's administrators can make.
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

from labhub.telemetry import metrics as metrics
from labhub.login.user_accounts import find_user, stored_id, user_info
from labhub.labs.pod_status import Pod, is_ready
from labhub.labs.pod import OWNER, PREFIX

_log = logging.getLogger(__name__)
AT_ONCE = 10


def horizon(db: Session) -> datetime:
    """Give when the database last heard of anybody; UTC, without a zone, as it keeps times."""
    known = (orm.User.created, orm.User.last_activity, orm.Spawner.started, orm.Spawner.last_activity)
    return max((found for (found,) in (db.query(func.max(one)).one() for one in known) if found), default=datetime.min)


def created(pod: Pod) -> datetime:
    """Give when a pod was made, in the same manner."""
    return datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).replace(tzinfo=None)


def find_unknown(pods: Iterable[Pod], claimed: Iterable[str], since: datetime) -> list[Pod]:
    """Give the labs that a database cannot know, since it ends before they were made.

    One that was made earlier and is nobody's was to be stopped: it stays an orphan.
    """
    taken = set(claimed)
    return [
        pod
        for pod in pods
        if pod["metadata"]["name"] not in taken
        and OWNER in pod["metadata"].get("annotations", {})
        and is_ready(pod)
        and created(pod) > since
    ]


async def adopt(app: JupyterHub, pods: Iterable[Pod]) -> None:
    """Make labs those of their users again, whom the database gets if it has not got them."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(pod: Pod) -> None:
        async with gate:
            try:
                await _adopt(app, pod)
            # Whatever is wrong with one, the others are taken up, and it is an orphan.
            except Exception as error:
                _log.warning("the lab %s cannot be taken up: %s", pod["metadata"]["name"], error)

    await asyncio.gather(*(one(pod) for pod in pods))


async def _adopt(app: JupyterHub, pod: Pod) -> None:
    user = await _owner(app, pod)
    if user is None or user.active:
        return
    labels = pod["metadata"]["labels"]
    spawner = user.get_or_create_spawner("", "", replace_failed=True)
    spawner.found = pod
    # As JupyterHub's handlers do: whoever looks meanwhile, such as for routes, leaves it alone.
    spawner._spawn_pending = True
    try:
        await user.spawn("", options={name: labels[f"{PREFIX}/{name}"] for name in ("image", "size")})
    finally:
        # What could not be taken up, the next start must not take up either.
        spawner._spawn_pending, spawner.found = False, None
    row = spawner.orm_spawner
    # JupyterHub takes the lab's start for now, and forgets what its client may ask for when it comes with a token.
    row.started = created(pod)
    row.oauth_client.allowed_scopes = list(spawner.client_scopes)
    app.db.commit()
    metrics.RECONCILED.labels("adopted").inc()
    _log.warning("the lab %s was unknown, and is %s's again", pod["metadata"]["name"], user.name)


async def _owner(app: JupyterHub, pod: Pod) -> User | None:
    """Give whose lab it is: by the account's id, as at a login."""
    github_id = int(pod["metadata"]["labels"][f"{PREFIX}/github-id"])
    if found := find_user(app.users, github_id):
        return found
    name = pod["metadata"]["annotations"][OWNER]
    row = orm.User.find(app.db, name)
    if row and await stored_id(app.users[row]) != github_id:
        _log.warning("the lab %s stays nobody's: %s is another account now", pod["metadata"]["name"], name)
        return None
    if row is None:
        row = orm.User(name=name)
        app.db.add(row)
        roles.assign_default_roles(app.db, entity=row)
    row.user_info = user_info(github_id)
    app.db.commit()
    return app.users[row]
