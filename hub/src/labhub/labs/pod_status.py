"""Interpretation of a pod's status: the stage of a lab's start, and the reason why a lab has failed or ended.

A pod is a dictionary in the form of the Kubernetes API. The functions send no requests.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labhub.models.pod_events import PodEvent
from labhub.models.pod_types import CONTAINER, STAGES, Pod, PodSettings

MESSAGES = {
    "image": "The image {image} cannot be pulled. Choose another image, or report this to an administrator.",
    "config": "Kubernetes cannot create your lab's container. Report this to an administrator.",
    "unschedulable": "No node had room for your lab in time. Choose a smaller size, or try again later.",
    "too_large": "No node of this site is large enough for this size. Choose a smaller size.",
    "home": "Your home or a project folder is not available.",
    "memory": "Your lab was stopped because it used more memory than its size allows. Choose a larger size.",
    "evicted": "Your lab was stopped because its node was low on {resource}. Start it again.",
    "node": "Your lab was stopped because its node failed or was drained for maintenance. Start it again.",
    "deleted": "Your lab was stopped because its pod was deleted. Start it again.",
    "unseen": "Your lab ended while the hub could not observe it, so the reason is unknown. Start it again.",
    "quota": "The site's quota has no room for another lab. Try again later.",
    "refused": "Kubernetes refused to create your lab. Report this to an administrator.",
    "api": "Kubernetes does not answer. Running labs are not affected. Try again in a minute.",
    "leftover": "Your previous lab is still stopping. Try again in a minute, or report this to an administrator.",
    "finalizer": "Your previous lab has ended, but Kubernetes cannot remove its pod. Report this to an administrator.",
    "identity": "The hub no longer has your GitHub identity. Log out, log in, and try again.",
    "rejected": "The node rejected your lab. Try again, or report this to an administrator.",
    "cancelled": "The start of your lab was cancelled.",
    "timeout": "Your lab did not start in time. Try again, or report this to an administrator.",
    "ended": "Your lab ended with an error. Start it again, or report this to an administrator.",
    "shutdown": "Your lab was shut down. Start it again if you need it.",
    "idle": "Your lab was stopped because it was idle for {time}. Start it again if you need it.",
    "age": "Your lab was stopped because it reached the maximum age of {time}. Start it again if you need it.",
}
STAGE_MESSAGES = {
    "created": "Waiting for a node with room for your lab",
    "scheduled": "Pulling the image and mounting your folders",
    "pulled": "Creating your lab's container",
    "started": "Starting JupyterLab",
}
# The details of diagnoses with these reasons contain the output of the user's lab. The user may see the output, but the
# hub's log must not contain it.
REASONS_WITH_OUTPUT = {"ended", "memory"}


@dataclass(frozen=True)
class Diagnosis:
    """The reason why a lab does not start or has ended.

    Attributes
    ----------
    reason
        A key of `MESSAGES`, or `choice` if the user's choice is not on the menu. Metrics and logs contain this reason.
    message
        Text for the user.
    detail
        Message of Kubernetes or the fileserver, or the last lines of the lab's output.
    """

    reason: str
    message: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.message} {self.detail}".strip()

    @property
    def log_text(self) -> str:
        """The text of this diagnosis for the hub's log, without the output of the user's lab."""
        return self.message if self.reason in REASONS_WITH_OUTPUT else str(self)


def diagnose(reason: str, detail: str = "", **values: str) -> Diagnosis:
    """Return the diagnosis for a reason. The `values` replace the placeholders in the reason's message."""
    return Diagnosis(reason, MESSAGES[reason].format(**values), detail.strip())


def container_statuses(pod: Pod) -> Iterator[dict[str, Any]]:
    """Yield the status of each container of a pod. If Kubernetes has left out the state, add an empty dictionary."""
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        yield {**status, "state": status.get("state") or {}}


def lab_states(pod: Pod) -> Iterator[dict[str, Any]]:
    """Yield the state of the lab's container, or nothing if kubelet has not reported the state yet."""
    yield from (status["state"] for status in container_statuses(pod) if status.get("name") == CONTAINER)


def find_condition(pod: Pod, kind: str) -> dict[str, Any]:
    """Return a pod's condition, for example `Ready`, or an empty dictionary if the pod has no such condition."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return next((condition for condition in conditions if condition.get("type") == kind), {})


def is_terminating(pod: Pod) -> bool:
    """Return whether the deletion of the pod was requested."""
    return "deletionTimestamp" in pod["metadata"]


def is_running(pod: Pod) -> bool:
    """Return whether the lab's container runs and the pod has an address."""
    has_address = bool((pod.get("status") or {}).get("podIP"))
    return any("running" in state for state in lab_states(pod)) and has_address and not is_terminating(pod)


def has_ended(pod: Pod) -> bool:
    """Return whether the lab's container has ended."""
    if (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}:
        return True
    return any("terminated" in state for state in lab_states(pod))


def diagnose_end(pod: Pod) -> Diagnosis:
    """Return why a lab has ended."""
    status = pod.get("status") or {}
    if status.get("reason") == "Evicted":
        message = status.get("message") or ""
        resource = re.search(r"low on resource: ([a-z-]+)", message)
        return diagnose("evicted", message, resource=resource[1] if resource else "a resource")
    target = find_condition(pod, "DisruptionTarget")
    if target.get("status") == "True" or status.get("reason") in {"NodeLost", "Shutdown"}:
        return diagnose("node", target.get("message") or status.get("message") or "")
    if is_terminating(pod):  # the deletion has ended the containers
        return diagnose("deleted")
    for container in container_statuses(pod):
        if terminated := container["state"].get("terminated"):
            return _diagnose_exit(terminated)
    if not status.get("containerStatuses"):
        return diagnose("rejected", f"{status.get('reason') or ''}: {status.get('message') or ''}")
    return diagnose("ended", status.get("message") or "")


def _diagnose_exit(terminated: dict[str, Any]) -> Diagnosis:
    output = terminated.get("message") or ""
    if terminated.get("reason") == "OOMKilled":
        return diagnose("memory", output)
    if terminated.get("exitCode") == 0:
        return diagnose("shutdown")
    return diagnose("ended", f"Last lines of its output (exit status {terminated.get('exitCode')}):\n{output}")


def diagnose_deletion(pod: Pod | None) -> Diagnosis:
    """Return why a pod no longer exists.

    The argument is the pod with its last status, or None if the hub did not observe the deletion.
    """
    return diagnose_end(pod) if pod else diagnose("unseen")


def diagnose_refusal(status: int, message: str) -> Diagnosis:
    """Return why the Kubernetes API has refused to create a pod, from the status and the message of the response."""
    if status == 403 and "exceeded quota" in message:
        return diagnose("quota", message)
    return diagnose("refused", f"{status}: {message}")


def diagnose_culling(
    started: datetime, last_activity: datetime | None, now: datetime, settings: PodSettings
) -> Diagnosis | None:
    """Return the diagnosis `age` or `idle` if the lab has reached this limit of the culler, otherwise None."""
    age, idle = now - started, now - (last_activity or started)
    if settings.max_age_seconds and age.total_seconds() >= settings.max_age_seconds:
        return diagnose("age", time=format_duration(settings.max_age_seconds))
    if settings.idle_seconds and idle.total_seconds() >= settings.idle_seconds:
        return diagnose("idle", time=format_duration(settings.idle_seconds))
    return None


def find_stage(pod: Pod | None, events: Iterable[PodEvent]) -> str:
    """Return the stage that a lab's start has reached: one of `STAGES`.

    Parameters
    ----------
    pod
        The pod of the lab, or None if Kubernetes has not reported the pod yet.
    events
        Events of the pod. The stage `pulled` is visible only in an event, not in the pod's status.
    """
    if pod is None or find_condition(pod, "PodScheduled").get("status") != "True":
        return "created"
    # An empty state means that the container waits.
    if any("running" in state or "terminated" in state for state in lab_states(pod)):
        return "started"
    return "pulled" if any(event.reason == "Pulled" for event in events) else "scheduled"


def lab_state(pod: Pod) -> str:
    """Return the state of a lab for the metrics: one of `labhub.telemetry.metrics.STATES`."""
    if is_terminating(pod):
        return "stopping"
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return "ended"
    stage = find_stage(pod, ())
    return "running" if stage == STAGES[-1] else stage


def count_labs(pods: Iterable[Pod]) -> Counter[str]:
    """Return the number of labs in each state."""
    return Counter(lab_state(pod) for pod in pods)


def exit_status(pod: Pod) -> int:
    """Return the exit status of the lab's process, or 1 if the status is unknown."""
    for state in lab_states(pod):
        if "terminated" in state:
            return int(state["terminated"].get("exitCode", 1))
    return 1


def format_duration(seconds: int) -> str:
    """Return a duration as text, for example `2 hours`."""
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit} {name}" + ("s" if seconds > unit else "")
    return f"{seconds} seconds"
