"""What the hub believes, held against what Kubernetes has, once a minute.

An orphan is a lab's pod that no server of the hub's stands for: a hub was killed at a bad moment, or the API was away
when it wanted to delete. A ghost is a server of the hub's whose pod has gone or ended without anybody noticing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from jupyterhub import orm  # type: ignore[import-untyped]
from jupyterhub.app import JupyterHub  # type: ignore[import-untyped]
from jupyterhub.user import User  # type: ignore[import-untyped]
from tornado.ioloop import PeriodicCallback

from labhub.telemetry import metrics as metrics
from labhub.labs.pod_status import Pod, has_ended
from labhub.labs.pod import OWNER
from labhub.labs.spawner import API_ERRORS, LabSpawner
from labhub.labs.reflector import PodWatch, say

_log = logging.getLogger(__name__)
EVERY_SECONDS = 30
# Seconds for which a pod must have been nobody's. A spawn makes its server's row before its pod, so this is only for
# what the watch learns late.
GRACE_SECONDS = 60
# What is known must not be older than that to delete anything for it.
FRESH_SECONDS = 60


def find_orphans(pods: Collection[str], claimed: Collection[str], since: dict[str, float], now: float) -> list[str]:
    """Give the pods that have been nobody's for the grace; `since` is kept from call to call."""
    nobodys = set(pods) - set(claimed)
    for name in list(since):
        if name not in nobodys:
            del since[name]
    return sorted(name for name in nobodys if now - since.setdefault(name, now) >= GRACE_SECONDS)


class Reconciler:
    """Puts both in line.

    Parameters
    ----------
    app
        The hub.
    watch
        Of the labs' pods.
    namespace
        Theirs.
    """

    def __init__(self, app: JupyterHub, watch: PodWatch, namespace: str) -> None:
        self.app = app
        self.watch = watch
        self.namespace = namespace
        self._since: dict[str, float] = {}
        self._looking: set[asyncio.Task[None]] = set()
        self._timer = PeriodicCallback(self.run, EVERY_SECONDS * 1000)

    def start(self) -> None:
        """Begin to look."""
        self.watch.on_end = self.look
        self._timer.start()

    def look(self, pod: Pod) -> None:
        """Have the server of a pod that has ended looked at, now and not when its time comes."""
        owner = orm.User.find(self.app.db, pod["metadata"].get("annotations", {}).get(OWNER))
        if owner is None or owner not in self.app.users:
            return
        for spawner in self.app.users[owner].spawners.values():
            if spawner.ready and spawner.pod_name == pod["metadata"]["name"]:
                self._looking.add(task := asyncio.create_task(spawner.poll_and_notify()))
                task.add_done_callback(self._looking.discard)

    async def run(self) -> None:
        """Look once, if what is known is fresh."""
        if self.watch.age > FRESH_SECONDS:
            return
        pods = {pod["metadata"]["name"]: pod for pod in self.watch.pods.values()}
        claimed = self._known()
        if not claimed.issuperset(pods):
            claimed = self.claimed()
        for name in find_orphans(pods, claimed, self._since, time.monotonic()):
            await self._delete(name, pods[name])
        for user, spawner in list(self._all()):
            if spawner.ready and (spawner.pod_name not in pods or has_ended(pods[spawner.pod_name])):
                await self._release(user, spawner)

    def claimed(self) -> set[str]:
        """Name the pods of all servers that run, start or stop, also of users whom nobody has asked for yet."""
        rows = self.app.db.query(orm.Spawner.state).filter(orm.Spawner.server_id != None)  # noqa: E711  (SQL)
        return self._known() | {str((state or {}).get("pod_name")) for (state,) in rows}

    def _known(self) -> set[str]:
        return {spawner.pod_name for _, spawner in self._all() if spawner.active}

    def _all(self) -> Iterator[tuple[User, LabSpawner]]:
        for user in list(self.app.users.values()):
            for spawner in list(user.spawners.values()):
                yield user, spawner

    async def _delete(self, name: str, pod: Mapping[str, Any]) -> None:
        if "deletionTimestamp" in pod["metadata"]:
            return
        _log.warning("the pod %s is no server's, and is deleted", name)
        try:
            # Only this very pod: one of the same name may have been made since.
            precondition = {"preconditions": {"uid": pod["metadata"]["uid"]}}
            await self.watch.api.delete_namespaced_pod(name, self.namespace, body=precondition, _request_timeout=5)
        except API_ERRORS as error:
            _log.warning("the pod %s cannot be deleted now: %s", name, say(error))
        else:
            metrics.RECONCILED.labels("orphan").inc()

    async def _release(self, user: User, spawner: LabSpawner) -> None:
        """Let go of a server whose pod has gone; `poll` asks the API itself first."""
        if await spawner.poll() is None:
            return
        _log.warning("the lab of %s has gone, and its server is released", user.name)
        metrics.RECONCILED.labels("ghost").inc()
        await self.app.proxy.delete_user(user, spawner.name)
        await user.stop(spawner.name)
