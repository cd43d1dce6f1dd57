"""The launcher creates, watches and deletes labs' pods. It sends all requests to the Kubernetes API about one lab."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from kubernetes_asyncio.client import ApiException, CoreV1Api

from labhub.labs.kubernetes_errors import API_ERRORS, format_api_error, read_message, read_status
from labhub.labs.pod_status import diagnose, diagnose_refusal, has_ended, is_running
from labhub.labs.reflector import EventReflector, PodReflector
from labhub.labs.spawn_errors import SpawnFailedError
from labhub.labs.start_tracker import StartLimits, StartTracker
from labhub.models.pod_events import PodEvent
from labhub.models.pod_types import PORT, PORT_NAME, Pod

_log = logging.getLogger(__name__)
# Timeout of one request, and how long to retry a failed request, in seconds
REQUEST_SECONDS = 5
RETRY_SECONDS = 30
RETRY_PAUSE = 2
# Transient refusals: the API is busy, or two requests have changed a quota at the same time
TRANSIENT_STATUSES = {HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
# Timeout for a connection to a lab. A NetworkPolicy that takes effect late drops the first SYN packet. Linux repeats it
# after one second, so a new connection is faster.
CONNECT_SECONDS = 0.25
# Pause between two connections to a starting lab, in seconds, and the factor by which it grows
CONNECT_PAUSE_MIN, CONNECT_PAUSE_GROWTH, CONNECT_PAUSE_MAX = 0.02, 1.5, 1.0


@dataclass(frozen=True)
class StartedLab:
    """A lab that answers.

    Attributes
    ----------
    pod
        Pod of the lab.
    reached
        Time at which the lab reached each stage and `ready`, in seconds of a monotonic clock.
    """

    pod: Pod
    reached: Mapping[str, float]


class LabLauncher:
    """Launcher of labs in one namespace. The hub has one launcher for all labs.

    Parameters
    ----------
    api
        Client of the Kubernetes API.
    pods, events
        Reflectors of the namespace.
    """

    def __init__(self, api: CoreV1Api, pods: PodReflector, events: EventReflector) -> None:
        self.pods = pods
        self.events = events
        self.namespace = pods.namespace
        self._api: Any = api  # its type hints do not cover `_preload_content=False`

    def _key(self, name: str) -> str:
        return f"{self.namespace}/{name}"

    def find_pod(self, name: str) -> Pod | None:
        """Return the last known status of a pod."""
        return self.pods.objects.get(self._key(name))

    def find_deleted_pod(self, name: str) -> Pod | None:
        """Return the last status of a deleted pod."""
        return self.pods.deleted.get(self._key(name))

    def find_events(self, name: str) -> list[PodEvent]:
        """Return the events of a pod. Events of an earlier pod with the same name are not included."""
        pod = self.find_pod(name)
        return self.events.find_events(pod["metadata"].get("uid", "")) if pod else []

    async def wait_for_change(self, name: str, seconds: float) -> bool:
        """Wait for a change of a pod, and return whether the pod changed in time."""
        return await self.pods.wait_for_change(self._key(name), seconds)

    def notify(self, name: str) -> None:
        """Wake `wait_until_ready`: the lab has sent its first activity report to the hub."""
        self.pods.notify(self._key(name))

    async def create_pod(self, manifest: Pod, *, leftover_timeout: float) -> None:
        """Create a pod. A leftover pod with the same name is deleted first.

        Parameters
        ----------
        leftover_timeout
            Seconds to wait for the deletion of a leftover pod.

        Raises
        ------
        SpawnFailedError
            Raised if the API refuses the pod, or does not answer in time.
        """
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                if await self._try_create(manifest):
                    return
            except API_ERRORS as error:
                _log.warning("cannot create a pod now, retrying: %s", format_api_error(error))
            else:
                deadline += await self._remove_leftover(manifest["metadata"]["name"], leftover_timeout)
            if time.monotonic() > deadline:
                raise SpawnFailedError(diagnose("api"))
            await asyncio.sleep(RETRY_PAUSE)

    async def _remove_leftover(self, name: str, wait_seconds: float) -> float:
        """Delete the pod of an earlier lab, and return the duration in seconds.

        Raises
        ------
        SpawnFailedError
            Raised if the pod still exists after the timeout.
        """
        began = time.monotonic()
        _log.warning("the pod %s already exists and is deleted first", self._key(name))
        try:
            await self.stop_pod(name, grace_period=0, wait_seconds=wait_seconds)
        except TimeoutError:
            raise SpawnFailedError(diagnose("timeout", f"The pod {name} of your previous lab still exists.")) from None
        return time.monotonic() - began

    async def _try_create(self, manifest: Pod) -> bool:
        """Create a pod. Return False if a pod with this name already exists."""
        # By default the client parses the response into objects, which costs 3 % of a spawn's CPU time.
        response = await self._api.create_namespaced_pod(
            self.namespace, manifest, _request_timeout=REQUEST_SECONDS, _preload_content=False
        )
        body = await response.text()
        if response.status == HTTPStatus.CREATED:
            return True
        if response.status == HTTPStatus.CONFLICT and read_status(body).get("reason") == "AlreadyExists":
            return False
        message = read_message(body)
        if response.status >= 500 or response.status in TRANSIENT_STATUSES:
            raise ApiException(status=response.status, reason=message)
        raise SpawnFailedError(diagnose_refusal(response.status, message))

    async def wait_until_ready(self, name: str, limits: StartLimits) -> StartedLab:
        """Wait until a lab answers.

        Raises
        ------
        SpawnFailedError
            Raised if a problem outlasts its grace period, or if the lab does not answer before the deadline.
        """
        tracker = StartTracker(limits, time.monotonic())
        pause = CONNECT_PAUSE_MIN
        while True:
            now, pod, events = time.monotonic(), self.find_pod(name), self.find_events(name)
            tracker.update(pod, events, now)
            running = pod is not None and is_running(pod)
            if pod and running and await self._accepts_connections(pod):
                return StartedLab(pod, tracker.reached | {"ready": time.monotonic()})
            tracker.check_deadline(events, now)
            if running:
                # The pause grows, because labs are slow if many start on one node. It is short again after the lab's
                # first report, which the lab sends just before it listens.
                reported = await self.wait_for_change(name, pause)
                pause = CONNECT_PAUSE_MIN if reported else min(pause * CONNECT_PAUSE_GROWTH, CONNECT_PAUSE_MAX)
            else:
                await self.wait_for_change(name, 1)

    async def _accepts_connections(self, pod: Pod) -> bool:
        """Return whether a process listens on the lab's port. JupyterHub then checks that it is a lab."""
        address = pod["status"]["podIP"]
        try:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as connection:
                connection.setblocking(False)
                connecting = asyncio.get_running_loop().sock_connect(connection, (address, find_port(pod)))
                await asyncio.wait_for(connecting, CONNECT_SECONDS)
        except (OSError, TimeoutError):
            return False
        return True

    async def wait_until_running(self, name: str, seconds: float) -> Pod | None:
        """Wait until a lab's container runs. Return its pod, or None if the lab has ended or after the timeout."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pod = self.find_pod(name)
            if pod is None or has_ended(pod):
                return None
            if is_running(pod):
                return pod
            await self.wait_for_change(name, 1)
        return None

    async def read_pod(self, name: str) -> Pod | None:
        """Read a pod from the API. Return None if the pod does not exist.

        Raises
        ------
        API_ERRORS
            Raised if the API does not answer.
        """
        response = await self._api.read_namespaced_pod(
            name, self.namespace, _request_timeout=REQUEST_SECONDS, _preload_content=False
        )
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        if response.status != HTTPStatus.OK:
            raise ApiException(status=response.status, reason=response.reason)
        pod: Pod = await response.json()
        return pod

    async def delete_pod(self, name: str, *, grace_period: int | None = None, uid: str | None = None) -> bool:
        """Request the deletion of a pod without waiting for it. Return whether the API has accepted the request.

        Parameters
        ----------
        grace_period
            Seconds between SIGTERM and SIGKILL. 0 also removes a pod whose node does not answer. None means the value
            in the pod.
        uid
            Delete only the pod with this UID.

        Raises
        ------
        ValueError
            Raised if the name is empty: the request would delete all pods of the namespace.
        """
        if not name:
            raise ValueError("cannot delete a pod without a name: the request would delete all pods")
        options: dict[str, object] = {} if uid is None else {"preconditions": {"uid": uid}}
        if grace_period is not None:
            options["gracePeriodSeconds"] = grace_period
        try:
            await self._api.delete_namespaced_pod(name, self.namespace, body=options, _request_timeout=REQUEST_SECONDS)
        except API_ERRORS as error:
            if getattr(error, "status", None) == HTTPStatus.NOT_FOUND:
                return True
            _log.warning("cannot delete the pod %s: %s", self._key(name), format_api_error(error))
            return False
        return True

    async def stop_pod(self, name: str, *, grace_period: int, wait_seconds: float) -> None:
        """Delete a pod and wait until it no longer exists.

        Raises
        ------
        TimeoutError
            Raised if the API does not accept the deletion, or if the pod still exists after the timeout.
        """
        _log.info("deleting the pod %s", self._key(name))
        async with asyncio.timeout(RETRY_SECONDS):
            while not await self.delete_pod(name, grace_period=grace_period):  # noqa: ASYNC110  (a retry)
                await asyncio.sleep(RETRY_PAUSE)
        async with asyncio.timeout(wait_seconds):
            await self._wait_until_gone(name)

    async def _wait_until_gone(self, name: str) -> None:
        while self.find_pod(name) is not None:
            await self.wait_for_change(name, 1)


def find_port(pod: Pod) -> int:
    """Return the port of the lab in a pod."""
    ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or [])
    return next((int(port["containerPort"]) for port in ports if port.get("name") == PORT_NAME), PORT)


def lab_url(pod: Pod) -> str:
    """Return the URL of the lab in a running pod."""
    address = pod["status"]["podIP"]
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{find_port(pod)}"
