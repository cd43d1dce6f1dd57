"""Removal of labs' pods: with their grace period, and by force only if their node does not answer.

A pod that is removed by force disappears from the Kubernetes API at once. If the node has only lost the network, the
lab's processes continue to run on the node. docs/dev/pods.md, "Stop and removal", explains the rules.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from enum import Enum
from http import HTTPStatus
from typing import Any

from kubernetes_asyncio.client import ApiException, CoreV1Api

from labhub.labs.kubernetes_errors import API_ERRORS, format_api_error
from labhub.labs.pod_status import Diagnosis, diagnose, find_condition, is_terminating, lab_states
from labhub.labs.reflector import PodReflector
from labhub.labs.spawn_errors import SpawnFailedError
from labhub.models.pod_types import Pod

_log = logging.getLogger(__name__)
# In seconds: the timeout of one request, the time for which the hub repeats a failed request, and the pause before each
# repetition
REQUEST_SECONDS = 5
RETRY_SECONDS = 30
RETRY_PAUSE = 2
# Time in seconds that kubelet needs after the grace period to kill the lab's processes, unmount the volumes and remove
# the pod
KUBELET_SECONDS = 30
# Seconds between two checks whether the node of a stopping lab still answers
NODE_CHECK_SECONDS = 5
# Grace period in seconds for a lab that gets no time to save. With 0, the API would remove the pod before the lab's
# processes have ended.
AT_ONCE = 1


class NodeState(Enum):
    """State of a node in the Kubernetes API.

    Attributes
    ----------
    READY
        kubelet reports that it can run pods. The hub also assumes this state if it cannot read the node.
    NOT_READY
        kubelet reports a problem, for example that the container runtime does not answer. kubelet may still be able to
        end pods.
    UNREACHABLE
        kubelet has stopped sending reports, or the node has been deleted. The node cannot end pods.
    """

    READY = "is ready"
    NOT_READY = "is not ready"
    UNREACHABLE = "does not answer"


def is_overdue(pod: Pod) -> bool:
    """Return whether a deleted pod still exists although its grace period and `KUBELET_SECONDS` have passed."""
    if not is_terminating(pod):
        return False
    # The API sets `deletionTimestamp` to the time of the request plus the grace period.
    deadline = datetime.fromisoformat(pod["metadata"]["deletionTimestamp"])
    return datetime.now(UTC) > deadline + timedelta(seconds=KUBELET_SECONDS)


def is_cut_off(pod: Pod) -> bool:
    """Return whether Kubernetes reports that the node of a lab's pod does not answer.

    Labs have no readiness probe, so kubelet sets the condition `Ready` of a running lab's pod to `True`. When kubelet
    stops sending reports, the node lifecycle controller sets the condition to `False`:
    https://kubernetes.io/docs/concepts/architecture/nodes/#condition.
    """
    if is_terminating(pod):
        return is_overdue(pod)
    runs = any("running" in state for state in lab_states(pod))
    return runs and find_condition(pod, "Ready").get("status") == "False"


def is_held(pod: Pod) -> bool:
    """Return whether a deleted pod still exists only because it has finalizers.

    When the containers have ended, kubelet sets the grace period to 0. A forced removal also sets the grace period to
    0. The API then removes the pod, unless the pod has finalizers.
    """
    metadata = pod["metadata"]
    return bool(metadata.get("finalizers")) and metadata.get("deletionGracePeriodSeconds") == 0


def node_name(pod: Pod) -> str:
    """Return the name of the node that a pod is on, or an empty text if the pod has no node yet."""
    return str(pod["spec"].get("nodeName") or "")


def diagnose_leftover(pod: Pod) -> Diagnosis:
    """Return why the pod of an earlier lab still exists, although the hub has requested its deletion."""
    name = pod["metadata"]["name"]
    if is_held(pod):
        return diagnose("finalizer", f"Pod: {name}. Finalizers: {', '.join(pod['metadata']['finalizers'])}")
    return diagnose("leftover", f"Pod: {name}. Node: {node_name(pod) or 'none'}")


class PodRemover:
    """Removal of labs' pods in one namespace.

    Parameters
    ----------
    api
        Client of the Kubernetes API.
    pods
        Reflector of the namespace.
    """

    def __init__(self, api: CoreV1Api, pods: PodReflector) -> None:
        self._pods = pods
        self._api: Any = api  # `Any`, because the client's type hints do not cover `_preload_content=False`

    def _key(self, name: str) -> str:
        return f"{self._pods.namespace}/{name}"

    def _find_pod(self, name: str) -> Pod | None:
        return self._pods.objects.get(self._key(name))

    async def read_pod(self, name: str) -> Pod | None:
        """Read a pod from the API. Return None if the pod does not exist.

        Raises
        ------
        API_ERRORS
            Raised if the API does not answer.
        """
        response = await self._api.read_namespaced_pod(
            name, self._pods.namespace, _request_timeout=REQUEST_SECONDS, _preload_content=False
        )
        return await _read_object(response)

    async def read_node_state(self, pod: Pod) -> NodeState:
        """Return the state of the node that a pod is on, or `READY` if the hub cannot read the state."""
        name = node_name(pod)
        if not name:
            return NodeState.READY
        try:
            response = await self._api.read_node(name, _request_timeout=REQUEST_SECONDS, _preload_content=False)
            node = await _read_object(response)
        except API_ERRORS as error:
            _log.warning("cannot read the node %s: %s", name, format_api_error(error))
            return NodeState.READY
        status = str(find_condition(node, "Ready").get("status")) if node else "Unknown"
        return {"True": NodeState.READY, "False": NodeState.NOT_READY}.get(status, NodeState.UNREACHABLE)

    async def find_lost_node(self, pod: Pod) -> str:
        """Return the name of a pod's node if the node is not ready or has been deleted, else an empty text."""
        return "" if await self.read_node_state(pod) is NodeState.READY else node_name(pod)

    async def is_lost(self, pod: Pod) -> bool:
        """Return whether the node of a pod cannot end the lab.

        The node does not answer, or the node is not ready and the pod is overdue.
        """
        state = await self.read_node_state(pod)
        overdue = state is NodeState.NOT_READY and is_overdue(pod)
        return state is NodeState.UNREACHABLE or overdue

    async def delete_pod(self, name: str, *, grace_period: int | None = None, uid: str | None = None) -> bool:
        """Request the deletion of a pod, and return whether the API has accepted the request.

        Parameters
        ----------
        grace_period
            Seconds between SIGTERM and SIGKILL. 0 removes the pod from the API without waiting for its node. None means
            the grace period in the pod's specification.
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
            response = await self._api.delete_namespaced_pod(
                name, self._pods.namespace, body=options, _request_timeout=REQUEST_SECONDS, _preload_content=False
            )
            await _read_object(response)
        except API_ERRORS as error:
            _log.warning("cannot delete the pod %s: %s", self._key(name), format_api_error(error))
            return False
        return True

    async def delete_at_once(self, name: str) -> None:
        """Delete a pod without time for the lab to save. If the pod's node is not ready, remove the pod by force."""
        pod = self._find_pod(name)
        by_force = pod is not None and bool(await self.find_lost_node(pod))
        await self.delete_pod(name, grace_period=0 if by_force else AT_ONCE)

    async def stop_pod(self, name: str, *, grace_period: int) -> None:
        """Delete a pod, and wait until its lab has ended, at most for the grace period and `KUBELET_SECONDS`.

        The wait ends early if the node of the lab does not answer. The pod then exists until the node answers again, or
        until the user starts a new lab.

        Raises
        ------
        TimeoutError
            Raised if the API does not accept the deletion.
        """
        _log.info("deleting the pod %s", self._key(name))
        pod = self._find_pod(name)
        check_after = 0 if pod and is_cut_off(pod) else NODE_CHECK_SECONDS
        async with asyncio.timeout(RETRY_SECONDS):
            while not await self.delete_pod(name, grace_period=grace_period):  # noqa: ASYNC110  (pause before a retry)
                await asyncio.sleep(RETRY_PAUSE)
        if reason := await self._wait_until_ended(name, grace_period + KUBELET_SECONDS, check_after):
            _log.warning("the pod %s still exists: %s", self._key(name), reason)

    async def _wait_until_ended(self, name: str, seconds: float, check_after: float) -> str:
        """Wait until a deleted pod no longer exists, or exists only because of finalizers.

        Return why the pod still exists, or an empty text.

        Parameters
        ----------
        seconds
            Timeout of the wait.
        check_after
            Seconds until the first check of the pod's node.
        """
        now = time.monotonic()
        deadline, next_check = now + seconds, now + check_after
        while (pod := self._find_pod(name)) is not None:
            if is_held(pod) or time.monotonic() > deadline:
                return str(diagnose_leftover(pod))
            if time.monotonic() >= next_check:
                if await self.is_lost(pod):
                    return f"its node {node_name(pod)} does not answer"
                next_check = time.monotonic() + NODE_CHECK_SECONDS
            await self._pods.wait_for_change(self._key(name), 1)
        return ""

    async def remove_leftover(self, name: str, wait_seconds: float) -> None:
        """Delete the pod of an earlier lab, and wait until the pod no longer exists.

        The programs of the earlier lab have the grace period to save. If the node cannot end the lab, remove the pod by
        force.

        Raises
        ------
        SpawnFailedError
            Raised if the pod still exists after the timeout.
        API_ERRORS
            Raised if the API does not answer.
        """
        _log.warning("the pod %s already exists and is deleted first", self._key(name))
        deadline, forced = time.monotonic() + wait_seconds, False
        while (pod := await self.read_pod(name)) is not None:
            uid = pod["metadata"]["uid"]
            if not is_terminating(pod):
                await self.delete_pod(name, uid=uid)
            elif not forced and await self.is_lost(pod):
                _log.warning("removing the pod %s by force: its node %s is not ready", self._key(name), node_name(pod))
                forced = await self.delete_pod(name, grace_period=0, uid=uid)
            if time.monotonic() > deadline:
                raise SpawnFailedError(diagnose_leftover(pod))
            await self._pods.wait_for_change(self._key(name), 1)


async def _read_object(response: Any) -> dict[str, Any] | None:
    """Return the object in a response of the API, or None if the object does not exist."""
    if response.status == HTTPStatus.NOT_FOUND:
        response.release()
        return None
    if response.status not in {HTTPStatus.OK, HTTPStatus.ACCEPTED}:
        response.release()
        raise ApiException(status=response.status, reason=response.reason)
    found: dict[str, Any] = await response.json()
    return found
