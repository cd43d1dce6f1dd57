"""Cancellation of a lab's pending start, for example of a lab that waits for a node."""

from __future__ import annotations

import asyncio
import logging

from jupyterhub.proxy import Proxy  # type: ignore[import-untyped]
from jupyterhub.spawner import Spawner  # type: ignore[import-untyped]
from jupyterhub.user import User  # type: ignore[import-untyped]
from tornado import web

from labhub.labs.spawner import LabSpawner
from labhub.telemetry import metrics

_log = logging.getLogger(__name__)
# Seconds for which the request to cancel a start waits until the lab has stopped. If the pod is on a node, kubelet
# needs one or two seconds to stop the lab.
CANCEL_SECONDS = 10
# The status is not 503, because nginx replaces each page with status 503 by its own page for an unavailable hub.
BUSY_STATUS = 409
BUSY_MESSAGE = "The hub has just started and is looking for your lab. Try again in a minute."


def check_stop_allowed(spawner: Spawner) -> None:
    """Check that the hub can stop a lab or cancel its start now.

    Raises
    ------
    HTTPError
        Raised with status 409 while a restarted hub checks or recovers the lab. Without this check, JupyterHub would
        answer with status 500.
    """
    recovering = spawner.pending == "spawn" and spawner._spawn_future is None
    if spawner.pending == "check" or recovering:
        raise web.HTTPError(BUSY_STATUS, BUSY_MESSAGE)


async def cancel_start(proxy: Proxy, user: User, spawner: Spawner) -> bool:
    """Cancel the pending start of a lab. Return whether the lab has stopped within `CANCEL_SECONDS`.

    If another request is already cancelling the start, wait for that cancellation. If the lab becomes ready during the
    cancellation, stop the lab.
    """
    if getattr(spawner, "_stop_future", None) is None:  # JupyterHub sets the attribute at the first stop
        # Set this flag before the first `await`. While it is set, JupyterHub neither starts nor stops the lab.
        spawner._stop_pending = True
        spawner._stop_future = asyncio.ensure_future(_cancel(proxy, user, spawner, spawner._spawn_future))
    done, _ = await asyncio.wait([spawner._stop_future], timeout=CANCEL_SECONDS)
    return bool(done)


async def _cancel(proxy: Proxy, user: User, spawner: Spawner, start: asyncio.Future[None]) -> None:
    try:
        start.cancel()
        await asyncio.wait([start])
        if user.spawners.get(spawner.name) is not spawner:
            return  # an administrator has just reset the user
        metrics.count_spawn_failure("cancelled")
        if isinstance(spawner, LabSpawner):  # the hub of the demo starts labs as processes
            await spawner.force_delete()  # a lab that has never answered has nothing to save
        await _delete_route(proxy, user, spawner)
        await user.stop(spawner.name)
    except Exception as error:
        # Do not repeat the deletion. `user.stop` has marked the lab as stopped, and the reconciler deletes the pod if
        # it still exists.
        _log.warning("the start of the lab of %s was cancelled, and its pod stays for now: %r", user.name, error)
    finally:
        spawner._stop_future, spawner._stop_pending = None, False


async def _delete_route(proxy: Proxy, user: User, spawner: Spawner) -> None:
    """Delete the proxy's route to a lab. A route exists if the lab has become ready during the cancellation."""
    try:
        await proxy.delete_user(user, spawner.name)
    except (OSError, TimeoutError, web.HTTPError) as error:
        _log.warning("the route of the lab of %s stays until the proxy answers: %r", user.name, error)
