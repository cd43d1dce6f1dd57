"""Tests of the interpretation of real messages of the scheduler, the cluster autoscaler and Karpenter."""

from __future__ import annotations

import pytest
from labhub.labs.starting.node_wait import NodeOutlook, assess, exceeds_nodes, excludes_all_groups
from labhub.models.pod_events import PodEvent

FULL = (
    "0/2 nodes are available: 2 Insufficient memory. no new claims to deallocate, preemption: 0/2 nodes are available: "
    "2 No preemption victims found for incoming pod."
)
TOO_SMALL = (
    "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. no new claims to deallocate, preemption: "
    "0/1 nodes are available: 1 Preemption is not helpful for scheduling."
)
SCALE_UP = "pod triggered scale-up: [{pool-a 1->2 (max: 3)}]"
NO_FIT = "pod didn't trigger scale-up: 2 Insufficient memory, 1 node(s) had untolerated taint(s)"
AT_MAXIMUM = "pod didn't trigger scale-up: 1 Insufficient memory, 1 max node group size reached"


def event(reason: str, message: str, second: int, component: str = "cluster-autoscaler") -> PodEvent:
    """Return an event that an autoscaler sends about a pod."""
    time = f"2026-11-30T12:00:{second:02}"
    return PodEvent("u", reason, message, "Normal", component, time)


def karpenter(message: str, second: int = 1) -> PodEvent:
    """Return Karpenter's event about a pod for which it adds no node."""
    return event("FailedScheduling", f"Failed to schedule pod, {message}", second, "karpenter")


SCHEDULER = event("FailedScheduling", FULL, 0, "default-scheduler")


@pytest.mark.parametrize(
    ("message", "too_small"),
    [
        (TOO_SMALL, True),
        (TOO_SMALL.replace("no new claims to deallocate, ", ""), True),
        (FULL, False),
        ("0/1 nodes are available: 1 Insufficient memory.", False),
        (
            "0/2 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint(s). preemption: 0/2 nodes "
            "are available: 2 Preemption is not helpful for scheduling.",
            False,
        ),
        (
            "0/2 nodes are available: 2 Insufficient memory. preemption: 0/2 nodes are available: 1 No preemption "
            "victims found for incoming pod, 1 Preemption is not helpful for scheduling.",
            False,
        ),
        (
            "0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes are available: 1 Preemption "
            "is not helpful for scheduling.",
            False,
        ),
        ('running PreBind plugin "VolumeBinding": timed out', False),
        ("", False),
    ],
)
def test_only_a_larger_request_exceeds_all_nodes(message: str, too_small: bool) -> None:
    assert exceeds_nodes(message) == too_small


@pytest.mark.parametrize(
    ("message", "excluded"),
    [
        (NO_FIT, True),
        ("pod didn't trigger scale-up: 1 node(s) didn't match Pod's node affinity/selector", True),
        ("pod didn't trigger scale-up (it wouldn't fit if a new node is added): 1 Insufficient cpu", True),
        ("pod didn't trigger scale-up: 3 node(s) had untolerated taint {dedicated: gpu}", True),
        (AT_MAXIMUM, False),
        ("pod didn't trigger scale-up: 1 in backoff after failed scale-up", False),
        ("pod didn't trigger scale-up: 2 not ready for scale-up", False),
        ("pod didn't trigger scale-up: 1 Insufficient memory, 1 max cluster cpu, memory limit reached", False),
        ("pod didn't trigger scale-up: max total nodes in cluster reached", False),
        ("pod didn't trigger scale-up (it wouldn't fit if a new node is added)", False),
        ("pod didn't trigger scale-up:", False),
        ("", False),
    ],
)
def test_only_permanent_reasons_exclude_a_node_group(message: str, excluded: bool) -> None:
    assert excludes_all_groups(message) == excluded


@pytest.mark.parametrize(
    ("message", "events", "kind"),
    [
        (FULL, [], "full"),
        (FULL, [SCHEDULER], "full"),
        (TOO_SMALL, [], "too_small"),
        (TOO_SMALL, [event("TriggeredScaleUp", SCALE_UP, 1)], "coming"),
        (FULL, [event("Nominated", "Pod should schedule on: nodeclaim/default-abc", 1, "karpenter")], "coming"),
        (FULL, [event("NotTriggerScaleUp", AT_MAXIMUM, 1), event("TriggeredScaleUp", SCALE_UP, 9)], "coming"),
        (FULL, [event("NotTriggerScaleUp", AT_MAXIMUM, 1)], "declined"),
        (TOO_SMALL, [event("NotTriggerScaleUp", AT_MAXIMUM, 1)], "declined"),
        (FULL, [event("FailedScaleUp", "Node scale up in zones a failed: GCE quota exceeded", 1)], "declined"),
        (TOO_SMALL, [event("NotTriggerScaleUp", NO_FIT, 1)], "impossible"),
        (TOO_SMALL, [event("NotTriggerScaleUp", AT_MAXIMUM, 1), event("NotTriggerScaleUp", NO_FIT, 12)], "impossible"),
        # The result is not `impossible`, because a full node outside the autoscaler's node groups can get room again.
        (FULL, [event("NotTriggerScaleUp", NO_FIT, 1)], "declined"),
        # The result is not `impossible`, because the first event shows that a node group fits.
        (TOO_SMALL, [event("TriggeredScaleUp", SCALE_UP, 1), event("NotTriggerScaleUp", NO_FIT, 12)], "declined"),
        # If the autoscaler sends two events in the same second, the API can list them in either order.
        (TOO_SMALL, [event("NotTriggerScaleUp", NO_FIT, 1), event("TriggeredScaleUp", SCALE_UP, 1)], "coming"),
        (TOO_SMALL, [event("TriggeredScaleUp", SCALE_UP, 1), event("NotTriggerScaleUp", NO_FIT, 1)], "coming"),
        # The result is not `impossible`, because Karpenter's message can omit instance types that a limit of the
        # NodePool excludes now.
        (TOO_SMALL, [karpenter("no instance type has enough resources, requirements=..., resources=...")], "declined"),
        (TOO_SMALL, [karpenter("all available instance types exceed limits for nodepool")], "declined"),
    ],
)
def test_outlook_follows_the_last_event(message: str, events: list[PodEvent], kind: str) -> None:
    assert assess(message, events).kind == kind


def test_detail_is_the_event_of_the_autoscaler() -> None:
    assert assess(FULL, [SCHEDULER]) == NodeOutlook("full", FULL)
    assert assess(FULL, [event("TriggeredScaleUp", SCALE_UP, 1)]) == NodeOutlook("coming", SCALE_UP)


def test_event_without_a_time_is_understood() -> None:
    assert assess(FULL, [PodEvent("u", "TriggeredScaleUp")]) == NodeOutlook("coming", "")
