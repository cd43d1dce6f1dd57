"""The launcher, which creates labs' pods and waits until the labs answer. `pod_removal` deletes the pods."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from kubernetes_asyncio.client import ApiException, CoreV1Api

from labhub.labs.kubernetes_errors import API_ERRORS, format_api_error, read_message, read_status
from labhub.labs.pod_removal import REQUEST_SECONDS, RETRY_PAUSE, RETRY_SECONDS, PodRemover
from labhub.labs.pod_status import diagnose, diagnose_refusal, has_ended, is_running, is_terminating
from labhub.labs.reflector import EventReflector, PodReflector
from labhub.labs.spawn_errors import SpawnFailedError
from labhub.labs.start_tracker import StartLimits, StartTracker
from labhub.models.pod_events import PodEvent
from labhub.models.pod_types import PORT, PORT_NAME, Pod

_log = logging.getLogger(__name__)
# Statuses of transient refusals. 409: two requests have changed a quota at the same time. 429: the API is busy.
TRANSIENT_STATUSES = {HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
# Timeout in seconds for a connection to a lab. If the NetworkPolicy takes effect late, the node drops the first SYN
# packet of a connection. Linux would repeat this packet only after one second, so the launcher opens a new connection
# earlier.
CONNECT_SECONDS = 0.25
# Bounds of the pause between two connections to a starting lab, in seconds, and the factor by which the pause grows
CONNECT_PAUSE_MIN, CONNECT_PAUSE_GROWTH, CONNECT_PAUSE_MAX = 0.02, 1.5, 1.0


@dataclass(frozen=True)
class StartedLab:
    """The result of a successful start: a lab that accepts connections.

    Attributes
    ----------
    pod
        Pod of the lab.
    reached
        Time at which the lab reached each stage of its start, in seconds of a monotonic clock. The last stage is
        `ready`.
    """

    pod: Pod
    reached: Mapping[str, float]


class LabLauncher:
    """Launcher of the labs in one namespace. The hub has one launcher for all users' labs.

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
        self.remover = PodRemover(api, pods)
        self._api: Any = api  # `Any`, because the client's type hints do not cover `_preload_content=False`

    def _key(self, name: str) -> str:
        return f"{self.namespace}/{name}"

    def find_pod(self, name: str) -> Pod | None:
        """Return the last known version of a pod, or None if the pod does not exist."""
        return self.pods.objects.get(self._key(name))

    def find_deleted_pod(self, name: str) -> Pod | None:
        """Return a deleted pod with its last status, or None if the hub has not observed a deletion."""
        return self.pods.deleted.get(self._key(name))

    def find_events(self, name: str) -> list[PodEvent]:
        """Return the events of a pod, without the events of an earlier pod with the same name."""
        pod = self.find_pod(name)
        return self.events.find_events(pod["metadata"].get("uid", "")) if pod else []

    async def wait_for_change(self, name: str, seconds: float) -> bool:
        """Wait until a pod changes. Return whether it changed before the timeout."""
        return await self.pods.wait_for_change(self._key(name), seconds)

    def notify(self, name: str) -> None:
        """Wake the task that waits in `wait_until_ready`. The lab has sent its first activity report to the hub."""
        self.pods.notify(self._key(name))

    async def create_pod(
        self, manifest: Pod, *, leftover_timeout: float, on_leftover: Callable[[], None] = lambda: None
    ) -> None:
        """Create a pod. The pod of an earlier lab, which has the same name, is deleted first.

        Parameters
        ----------
        leftover_timeout
            Seconds to wait until the pod of an earlier lab no longer exists.
        on_leftover
            Called before the wait for the pod of an earlier lab.

        Raises
        ------
        SpawnFailedError
            Raised if the API refuses the pod or does not answer in time, or if the pod of an earlier lab still exists.
        """
        deadline = time.monotonic() + RETRY_SECONDS
        while True:
            try:
                if await self._try_create(manifest):
                    return
                on_leftover()
                began = time.monotonic()
                await self.remover.remove_leftover(manifest["metadata"]["name"], leftover_timeout)
                deadline += time.monotonic() - began
            except API_ERRORS as error:
                _log.warning("cannot create a pod now, retrying: %s", format_api_error(error))
            if time.monotonic() > deadline:
                raise SpawnFailedError(diagnose("api"))
            await asyncio.sleep(RETRY_PAUSE)

    async def _try_create(self, manifest: Pod) -> bool:
        """Create a pod. Return False if a pod with this name already exists.

        The API can create the pod even after the client has closed the connection. So a cancelled task waits for the
        API's answer before it ends. The hub can then find and delete the pod.
        """
        request = asyncio.ensure_future(self._request_creation(manifest))
        try:
            return await asyncio.shield(request)
        except asyncio.CancelledError:
            await asyncio.gather(request, return_exceptions=True)
            raise

    async def _request_creation(self, manifest: Pod) -> bool:
        # By default the client parses the response into objects. `_preload_content=False` avoids this, and saves 3 % of
        # the hub's CPU time for a spawn.
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
        """Wait until a lab accepts connections. Return the lab's pod and the times of the stages of its start.

        Raises
        ------
        SpawnFailedError
            Raised if a problem lasts too long, or if the lab does not answer before the deadline.
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
                # The pause grows, because labs start slowly if many start on one node. A lab sends its first activity
                # report just before it listens, so the report makes the pause short again.
                reported = await self.wait_for_change(name, pause)
                pause = CONNECT_PAUSE_MIN if reported else min(pause * CONNECT_PAUSE_GROWTH, CONNECT_PAUSE_MAX)
            else:
                await self.wait_for_change(name, 1)

    async def _accepts_connections(self, pod: Pod) -> bool:
        """Return whether a process accepts connections on the lab's port. JupyterHub then checks that it is a lab."""
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
        """Wait until a lab's container runs. Return the pod, or None if the lab has ended or the timeout has passed."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pod = self.find_pod(name)
            if pod is None or has_ended(pod) or is_terminating(pod):
                return None
            if is_running(pod):
                return pod
            await self.wait_for_change(name, 1)
        return None


def find_port(pod: Pod) -> int:
    """Return the port number on which the lab in a pod listens."""
    ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or [])
    return next((int(port["containerPort"]) for port in ports if port.get("name") == PORT_NAME), PORT)


def lab_url(pod: Pod) -> str:
    """Return the URL of the lab in a running pod."""
    address = pod["status"]["podIP"]
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{find_port(pod)}"
