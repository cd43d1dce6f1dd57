"""The reconciler compares the labs in the database with the pods in Kubernetes every 30 s, and corrects differences.

JupyterHub's tables call a lab a server. An orphaned pod is a pod without a server in the database. For example, the hub
was killed during a spawn, or the Kubernetes API was unavailable during a deletion. A ghost is a server whose pod has
ended or no longer exists, or whose deleted pod is on a node that does not answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Collection, Iterator

from jupyterhub import orm  # type: ignore[import-untyped]
from jupyterhub.app import JupyterHub  # type: ignore[import-untyped]
from jupyterhub.user import User  # type: ignore[import-untyped]
from sqlalchemy import text
from tornado.ioloop import PeriodicCallback

from labhub.labs.launcher import LabLauncher
from labhub.labs.pod_removal import is_overdue
from labhub.labs.pod_status import has_ended, is_terminating
from labhub.labs.spawner import LabSpawner
from labhub.models.pod_types import OWNER, Pod
from labhub.telemetry import metrics

_log = logging.getLogger(__name__)
INTERVAL_SECONDS = 30
# A pod counts as orphaned if it has had no server in the database for this time, in seconds. A spawn stores the server
# before it creates the pod, so the time only has to cover delays of the reflector.
GRACE_SECONDS = 60
# Maximum age of the reflector's data, in seconds. While the data is older, the reconciler does nothing.
DATA_AGE_MAX = 60
# Use plain SQL, because SQLAlchemy does not cache statements with JupyterHub's JSON columns, and logs a warning.
STATES_OF_SERVERS = text("SELECT state FROM spawners WHERE server_id IS NOT NULL")


def find_orphans(
    pods: Collection[str], claimed: Collection[str], first_seen: dict[str, float], now: float
) -> list[str]:
    """Return the names of the pods that have had no server in the database for `GRACE_SECONDS`.

    Parameters
    ----------
    first_seen
        Time at which each pod was first seen without a server. Each call updates this dictionary. Pass the same
        dictionary to the next call.
    """
    unclaimed = set(pods) - set(claimed)
    for name in list(first_seen):
        if name not in unclaimed:
            del first_seen[name]
    return sorted(name for name in unclaimed if now - first_seen.setdefault(name, now) >= GRACE_SECONDS)


class Reconciler:
    """The task that deletes orphaned pods, and marks ghosts (labs without a running pod) as stopped."""

    def __init__(self, app: JupyterHub, launcher: LabLauncher) -> None:
        self.app = app
        self.launcher = launcher
        self._first_seen: dict[str, float] = {}
        self._polls: set[asyncio.Task[None]] = set()
        self._timer = PeriodicCallback(self.run, INTERVAL_SECONDS * 1000)

    def start(self) -> None:
        """Start the periodic comparison. Also poll a lab as soon as its pod has ended."""
        self.launcher.pods.on_end = self.poll_owner
        self._timer.start()

    def poll_owner(self, pod: Pod) -> None:
        """Poll the lab of a pod that has ended, so that JupyterHub marks the lab as stopped immediately."""
        owner = orm.User.find(self.app.db, pod["metadata"].get("annotations", {}).get(OWNER))
        if owner is None or owner not in self.app.users:
            return
        for spawner in self.app.users[owner].spawners.values():
            if spawner.ready and spawner.pod_name == pod["metadata"]["name"]:
                self._polls.add(task := asyncio.create_task(spawner.poll_and_notify()))
                task.add_done_callback(self._polls.discard)

    async def run(self) -> None:
        """Compare pods with the database, and correct differences. If the reflector's data is too old, do nothing."""
        if self.launcher.pods.age > DATA_AGE_MAX:
            return
        pods = {pod["metadata"]["name"]: pod for pod in self.launcher.pods.objects.values()}
        claimed = self._claimed_in_memory()
        if not claimed.issuperset(pods):
            claimed = self.claimed_pods()
        for name in find_orphans(pods, claimed, self._first_seen, time.monotonic()):
            await self._delete_orphan(name, pods[name])
        for user, spawner in list(self._spawners()):
            pod = pods.get(spawner.pod_name)
            if spawner.ready and (pod is None or has_ended(pod) or is_overdue(pod)):
                await self._release_ghost(user, spawner)

    def claimed_pods(self) -> set[str]:
        """Return the names of the pods of all labs in the database, even if the hub has not loaded the lab's user."""
        states = self.app.db.execute(STATES_OF_SERVERS).scalars()
        return self._claimed_in_memory() | {str(json.loads(state or "{}").get("pod_name")) for state in states}

    def _claimed_in_memory(self) -> set[str]:
        return {spawner.pod_name for _, spawner in self._spawners() if spawner.active}

    def _spawners(self) -> Iterator[tuple[User, LabSpawner]]:
        for user in list(self.app.users.values()):
            for spawner in list(user.spawners.values()):
                yield user, spawner

    async def _delete_orphan(self, name: str, pod: Pod) -> None:
        if is_terminating(pod):
            return
        _log.warning("deleting the orphaned pod %s, which is missing from the database", name)
        # Pass the UID, so that the API does not delete a new pod with the same name.
        if await self.launcher.remover.delete_pod(name, uid=pod["metadata"]["uid"]):
            metrics.RECONCILED.labels("orphan").inc()

    async def _release_ghost(self, user: User, spawner: LabSpawner) -> None:
        """Mark a lab as stopped, and delete its route, if the Kubernetes API confirms that the lab has ended."""
        if await spawner.poll() is None:
            return
        _log.warning("the pod of %s no longer runs: marking the lab as stopped", user.name)
        metrics.RECONCILED.labels("ghost").inc()
        await self.app.proxy.delete_user(user, spawner.name)
        await user.stop(spawner.name)
