"""Interpretation of the reports of the scheduler and the autoscalers about a pod that has no node.

Source code of the cluster autoscaler's events: `processors/status/eventing_scale_up_processor.go` and
`core/scaleup/orchestrator/skippedreasons.go` of https://github.com/kubernetes/autoscaler. Source code of Karpenter's
events: `pkg/controllers/provisioning/scheduling/events.go` of https://github.com/kubernetes-sigs/karpenter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from labhub.models.pod_events import PodEvent

# Reasons of events with which an autoscaler reports that it adds a node for the pod, or has found a node for the pod
ADDED = {"TriggeredScaleUp", "Nominated"}
# Reasons of events with which an autoscaler reports that it adds no node. `FailedScaleUp` is a reason of Google's
# autoscaler. Karpenter's reason, `FailedScheduling`, is not in this list, because the scheduler uses the same reason.
# `_is_from_karpenter` recognizes Karpenter's events by their component.
DECLINED = {"NotTriggerScaleUp", "FailedScaleUp"}
KARPENTER = "karpenter"
# Reasons for which the cluster autoscaler can never use a node group for the pod. All other reasons are temporary. For
# example, the group has reached its maximum size, pauses after a failure, or is not ready.
PERMANENT = re.compile(
    r"\d+ (Insufficient \S+|node\(s\) didn't match (Pod's node affinity/selector|node selector)"
    r"|node\(s\) had untolerated taint.*|node\(s\) had taint.*)"
)
# The scheduler's message about a pod that does not fit on any node, even if other pods are deleted. Since Kubernetes
# 1.34, the second part of the message counts the nodes that are smaller than the request. Nodes that are large enough
# but full are not counted: https://github.com/kubernetes/kubernetes/pull/131345
TOO_SMALL = re.compile(
    r"0/(?P<nodes>\d+) nodes are available: (?P<reasons>[^.]*)\. .*"
    r"preemption: 0/(?P=nodes) nodes are available: (?P=nodes) Preemption is not helpful for scheduling\."
)
Kind = Literal["full", "too_small", "coming", "declined", "impossible"]


@dataclass(frozen=True)
class NodeOutlook:
    """The chance that a waiting pod gets a node, according to the scheduler and the autoscalers.

    Attributes
    ----------
    kind
        `full`: no node has room now. `too_small`: the request exceeds each existing node, and an autoscaler has not
        answered. `coming`: an autoscaler adds a node. `declined`: an autoscaler adds no node now. `impossible`: the
        request exceeds each existing node, and the cluster autoscaler has excluded each node group for ever.
    detail
        Message of the autoscaler or the scheduler.
    """

    kind: Kind
    detail: str


def assess(scheduler_message: str, events: Sequence[PodEvent]) -> NodeOutlook:
    """Return the chance that a waiting pod gets a node.

    Only a message of the cluster autoscaler can prove that no node will ever fit, because the message contains the
    reason of each node group. Karpenter's message omits instance types that would fit, if a limit of a NodePool
    excludes them at the moment.

    Parameters
    ----------
    scheduler_message
        Message of the pod's condition `PodScheduled`.
    events
        Events of the pod.
    """
    answers = [event for event in events if event.reason in ADDED | DECLINED or _is_from_karpenter(event)]
    too_small = exceeds_nodes(scheduler_message)
    if not answers:
        return NodeOutlook("too_small" if too_small else "full", scheduler_message)
    # An autoscaler can send an event of each kind, `ADDED` and `DECLINED`, in the same second. In this case the
    # autoscaler adds a node.
    last = max(answers, key=lambda event: (event.time[:19], event.reason in ADDED))
    if last.reason in ADDED:
        return NodeOutlook("coming", last.message)
    added = any(event.reason in ADDED for event in answers)
    if too_small and not added and last.reason == "NotTriggerScaleUp" and excludes_all_groups(last.message):
        return NodeOutlook("impossible", last.message)
    return NodeOutlook("declined", last.message)


def _is_from_karpenter(event: PodEvent) -> bool:
    return event.reason == "FailedScheduling" and event.component == KARPENTER


def exceeds_nodes(scheduler_message: str) -> bool:
    """Return whether the pod's request is larger than each existing node, even without other pods on the node."""
    found = TOO_SMALL.match(scheduler_message)
    reasons = found["reasons"].split(", ") if found else ["0 unknown"]
    return all(reason.partition(" ")[2].startswith("Insufficient ") for reason in reasons)


def excludes_all_groups(autoscaler_message: str) -> bool:
    """Return whether the cluster autoscaler's message contains a permanent reason against each node group."""
    reasons = [reason for reason in re.split(r", (?=\d+ )", autoscaler_message.partition(": ")[2]) if reason.strip()]
    return bool(reasons) and all(PERMANENT.fullmatch(reason.strip()) for reason in reasons)
