"""Problems of starting pods: how long the spawn tolerates each problem, and what the progress page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from labhub.labs.pod_status import (
    Diagnosis,
    container_statuses,
    diagnose,
    diagnose_end,
    find_condition,
    has_ended,
    is_terminating,
)
from labhub.labs.starting import image_pull, node_wait
from labhub.models.pod_events import PodEvent
from labhub.models.pod_types import Pod

CONFIG_REASONS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "StartError"}
# Texts in kubelet's messages if the node is too busy to create the container. kubelet then tries again.
BUSY_NODE = ("deadline exceeded", "timed out", "failed to sync", "failed to reserve container name")
# Reasons of the condition `PodScheduled` of a pod that waits for a node
UNSCHEDULED_REASONS = {"Unschedulable", "SchedulingGated", "SchedulerError"}
NODE_NOTICES = {
    "full": "No node has room for your lab now. The hub waits up to {limit} for one.",
    "too_small": "All nodes are too small for this size. The hub waits up to {limit} for a larger one. "
    "If you cancel the start, you can choose a smaller size.",
    "coming": "The cluster adds a node for your lab. This can take several minutes.",
    "declined": "No node has room for your lab, and the cluster cannot add one now. The hub waits up to {limit}.",
}
IMAGE_NOTICE = "The image of your lab cannot be pulled now. Kubernetes tries again."
CONFIG_NOTICE = "The node cannot create your lab's container now. Kubernetes tries again."


class Patience(Enum):
    """How long a start waits until a problem has passed."""

    NONE = "none"
    """No wait, because the problem is permanent."""
    SECONDS = "seconds"
    """A few seconds, because kubelet may report a problem that other parts of Kubernetes are about to solve."""
    NODE = "node"
    """Up to the time in the setting `LAB_UNSCHEDULABLE_SECONDS`, because a node with room may appear."""
    DEADLINE = "deadline"
    """Until the deadline of the current stage of the start."""


@dataclass(frozen=True)
class StartProblem:
    """A problem of a starting pod.

    Attributes
    ----------
    diagnosis
        Reason for the failure of the spawn, if the problem lasts too long.
    patience
        How long the start waits until the problem has passed.
    notice
        Text for the progress page. `{limit}` stands for the time limit of the wait for a node.
    detail
        Message of Kubernetes for the progress page.
    """

    diagnosis: Diagnosis
    patience: Patience
    notice: str = ""
    detail: str = ""


def find_problem(pod: Pod, events: Sequence[PodEvent]) -> StartProblem | None:
    """Return the problem that delays or prevents the start of a pod, or None.

    Parameters
    ----------
    events
        Events of the pod, oldest first.
    """
    if is_terminating(pod):
        return StartProblem(diagnose("deleted"), Patience.NONE)
    if has_ended(pod):
        return StartProblem(diagnose_end(pod), Patience.NONE)
    for status in container_statuses(pod):
        waiting = status["state"].get("waiting") or {}
        if waiting.get("reason") in image_pull.REASONS:
            return _find_image_problem(str(status.get("image") or ""), waiting, events)
        if waiting.get("reason") in CONFIG_REASONS:
            return _find_config_problem(waiting)
    scheduled = find_condition(pod, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") in UNSCHEDULED_REASONS:
        return _find_node_problem(str(scheduled.get("message") or ""), events)
    return None


def _find_image_problem(image: str, waiting: dict[str, Any], events: Sequence[PodEvent]) -> StartProblem:
    reason, cause = str(waiting["reason"]), image_pull.find_cause(waiting, events)
    detail = f"{reason}: {cause}"
    if image_pull.is_final(reason, cause):
        return StartProblem(diagnose("image", detail, image=image), Patience.NONE)
    return StartProblem(diagnose("image", detail, image=image), Patience.DEADLINE, IMAGE_NOTICE, detail)


def _find_config_problem(waiting: dict[str, Any]) -> StartProblem:
    detail = f"{waiting['reason']}: {waiting.get('message') or ''}"
    is_busy = any(text in detail.lower() for text in BUSY_NODE)
    return StartProblem(
        diagnose("config", detail), Patience.DEADLINE if is_busy else Patience.SECONDS, CONFIG_NOTICE, detail
    )


def _find_node_problem(scheduler_message: str, events: Sequence[PodEvent]) -> StartProblem:
    outlook = node_wait.assess(scheduler_message, events)
    if outlook.kind == "impossible":
        return StartProblem(diagnose("too_large", outlook.detail), Patience.NONE)
    return StartProblem(
        diagnose("unschedulable", outlook.detail), Patience.NODE, NODE_NOTICES[outlook.kind], outlook.detail
    )
