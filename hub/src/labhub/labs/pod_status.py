"""What Kubernetes tells of a pod, in words for the person who waits for it. Pure.

A pod is a dictionary as the API gives it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from labhub.labs.pod import CONTAINER

Pod = dict[str, Any]

# A container in one of these will not start by waiting. ErrImagePull may pass (a registry that is away for a
# moment), and kubelet then says it again as ImagePullBackOff after its second try: see `GRACE`.
HOPELESS = {
    "ErrImageNeverPull": "image",
    "ErrImagePull": "image",
    "ImageInspectError": "image",
    "ImagePullBackOff": "image",
    "InvalidImageName": "image",
    "CreateContainerConfigError": "config",
    "CreateContainerError": "config",
    "RunContainerError": "config",
    "StartError": "config",
}
# Seconds for which a trouble has to last that may pass by itself: the scheduler and kubelet try again.
GRACE = {"image": 5.0, "config": 5.0, "unschedulable": 8.0}
SAID = {
    "image": "The image {image} cannot be pulled.",
    "config": "The lab's container cannot be made.",
    "unschedulable": "No node of the cluster has room for a lab of this size, or can take it.",
    "home": "Your home could not be made ready.",
    "memory": "The lab used more memory than its size allows, and was ended.",
    "evicted": "The lab was moved off its node, which was running short of {resource}.",
    "node": "The lab was ended with its node, which went away or was emptied for maintenance.",
    "deleted": "The lab's pod was deleted.",
    "unseen": "The lab ended while the hub was away, too: perhaps with its node.",
    "quota": "There is no room for another lab: the site's quota is used up.",
    "refused": "Kubernetes refused the lab.",
    "api": "Kubernetes does not answer. Labs that run go on running; try again in a minute.",
    "identity": "The hub does not know your groups any more. Log out, log in, and try again.",
    "rejected": "The node did not take the lab.",
    "timeout": "The lab did not start in time.",
    "ended": "The lab ended.",
    "shutdown": "The lab was shut down.",
    "idle": "The lab was stopped because nothing had happened in it for {time}.",
    "age": "The lab was stopped because it had run for {time}, the greatest age here.",
}
# In the details of these stands what the lab has printed: its user may see it, the hub's log may not have it.
PRINTED = {"ended", "memory"}


@dataclass(frozen=True)
class Diagnosis:
    """Why a lab does not start, or has ended.

    Attributes
    ----------
    reason
        One of the keys of `SAID`: what is counted and logged.
    message
        For its user.
    detail
        What Kubernetes said, or the last lines of the lab's log.
    """

    reason: str
    message: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.message} {self.detail}".strip()

    @property
    def logged(self) -> str:
        """What the hub's log may have, which is shipped: nothing that a lab has printed."""
        return self.message if self.reason in PRINTED else str(self)


def explain(reason: str, detail: str = "", **names: str) -> Diagnosis:
    """Say a reason in words."""
    return Diagnosis(reason, SAID[reason].format(**names), detail.strip())


def statuses(pod: Pod) -> Iterator[dict[str, Any]]:
    """Give the states of all containers."""
    yield from (pod.get("status") or {}).get("containerStatuses") or []


def condition(pod: Pod, kind: str) -> dict[str, Any]:
    """Give a condition of the pod; an empty one if there is none."""
    found = (pod.get("status") or {}).get("conditions") or []
    return next((one for one in found if one["type"] == kind), {})


def is_ready(pod: Pod) -> bool:
    """Tell whether the lab's container runs, and has an address."""
    status = pod.get("status") or {}
    running = any(
        one["name"] == CONTAINER and "running" in one["state"] for one in status.get("containerStatuses") or []
    )
    return running and bool(status.get("podIP")) and not is_going(pod)


def is_going(pod: Pod) -> bool:
    """Tell whether the pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def has_ended(pod: Pod) -> bool:
    """Tell whether the lab ran, and does no more."""
    status = pod.get("status") or {}
    if status.get("phase") in {"Succeeded", "Failed"}:
        return True
    return any(
        one["name"] == CONTAINER and "terminated" in one["state"] for one in status.get("containerStatuses") or []
    )


def find_trouble(pod: Pod) -> Diagnosis | None:
    """Say what keeps a pod from starting; None: nothing that is known yet.

    Whether it lasts is for the caller to see: `GRACE`.
    """
    if is_going(pod):
        return explain("deleted")
    if has_ended(pod):
        return explain_end(pod)
    for one in statuses(pod):
        waiting = one["state"].get("waiting") or {}
        if reason := HOPELESS.get(waiting.get("reason", "")):
            detail = f"{waiting['reason']}: {waiting.get('message', '')}"
            return explain(reason, detail, image=one.get("image", ""))
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return explain("unschedulable", scheduled.get("message", ""))
    return None


def explain_end(pod: Pod) -> Diagnosis:
    """Say why a lab has ended."""
    status = pod.get("status") or {}
    if status.get("reason") == "Evicted":
        message = status.get("message", "")
        resource = re.search(r"low on resource: ([a-z-]+)", message)
        return explain("evicted", message, resource=resource[1] if resource else "something")
    target = condition(pod, "DisruptionTarget")
    if target.get("status") == "True" or status.get("reason") in {"NodeLost", "Shutdown"}:
        return explain("node", target.get("message") or status.get("message", ""))
    if is_going(pod):  # what its containers say came of that
        return explain("deleted")
    for one in statuses(pod):
        ended = one["state"].get("terminated")
        if not ended:
            continue
        detail = ended.get("message") or ""
        if ended.get("reason") == "OOMKilled":
            return explain("memory", detail)
        if ended.get("exitCode") == 0:
            return explain("shutdown")
        return explain("ended", f"Its last lines (exit status {ended.get('exitCode')}):\n{detail}")
    if not status.get("containerStatuses"):
        return explain("rejected", f"{status.get('reason', '')}: {status.get('message', '')}")
    return explain("ended", status.get("message", ""))


def explain_deletion(pod: Pod | None) -> Diagnosis:
    """Say why a lab's pod has gone, from what it was last; None: nobody saw it go."""
    return explain_end(pod) if pod else explain("unseen")


def explain_refusal(status: int, message: str) -> Diagnosis:
    """Say why Kubernetes did not take the pod, from the answer of its API."""
    if status == 403 and "exceeded quota" in message:
        return explain("quota", message)
    return explain("refused", f"{status}: {message}")


# How far a pod has come. `pulled`: the image is there, and the volumes are.
STAGES = ("created", "scheduled", "pulled", "started")
ABOUT = {
    "created": "Looking for a node with room",
    "scheduled": "The image is being fetched, and your storage attached",
    "pulled": "The lab's container is being made",
    "started": "JupyterLab is starting",
}


def stage(pod: Pod, events: Iterable[dict[str, Any]]) -> str:
    """Say how far a pod has come: one of `STAGES`.

    Parameters
    ----------
    pod
        As it is.
    events
        What is reported of it; only there it says that its image has been pulled.
    """
    if condition(pod, "PodScheduled").get("status") != "True":
        return "created"
    if any("waiting" not in one["state"] for one in statuses(pod) if one["name"] == CONTAINER):
        return "started"
    return "pulled" if any(event.get("reason") == "Pulled" for event in events) else "scheduled"


class Trouble:
    """Tells a trouble that lasts from one that passes."""

    def __init__(self, grace: dict[str, float]) -> None:
        self.grace = grace
        self.since: dict[str, float] = {}

    def lasts(self, found: Diagnosis | None, now: float) -> Diagnosis | None:
        """Give the trouble if it has lasted longer than its grace."""
        if found is None:
            self.since.clear()
            return None
        first = self.since.setdefault(found.reason, now)
        return found if now - first >= self.grace.get(found.reason, 0) else None


def exit_status(pod: Pod) -> int:
    """Give the exit status of the lab; 1 if it is not known."""
    for one in (pod.get("status") or {}).get("containerStatuses") or []:
        if one["name"] == CONTAINER and "terminated" in one["state"]:
            return int(one["state"]["terminated"].get("exitCode", 1))
    return 1


def span(seconds: int) -> str:
    """Give a time as people say it."""
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit} {name}" + ("s" if seconds > unit else "")
    return f"{seconds} seconds"
