"""What Kubernetes tells of a pod, in words: statuses as kubelet and the scheduler write them."""

from __future__ import annotations

from typing import Any

import pytest
from labhub.labs.pod_status import (
    diagnose_deletion,
    diagnose_end,
    diagnose_refusal,
    exit_status,
    find_problem,
    find_stage,
    format_duration,
    has_ended,
    is_running,
)

SCHEDULED = {"type": "PodScheduled", "status": "True"}
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 Insufficient memory.",
}
DRAINED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}


def container(name: str, **state: Any) -> dict[str, Any]:
    """Give a container's status."""
    return {"name": name, "image": "lsst/lab:1", "ready": "running" in state, "state": state}


def pod(*containers: dict[str, Any], conditions: list[dict[str, Any]] | None = None, **status: Any) -> dict[str, Any]:
    """Give a pod."""
    told = {"phase": "Pending", "conditions": [SCHEDULED] if conditions is None else conditions, **status}
    if containers:
        told["containerStatuses"] = list(containers)
    return {"metadata": {"name": "lab-1", "namespace": "labs", "uid": "u"}, "status": told}


WAITING = {"waiting": {"reason": "ContainerCreating"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}
RUNNING = {"running": {"startedAt": "2026-11-23T03:00:00Z"}}
PENDING = pod(conditions=[])
WAITS = pod(container("notebook", **WAITING))
STARTED = pod(container("notebook", **RUNNING), podIP="10.0.0.1", phase="Running")


@pytest.mark.parametrize(
    ("at", "found", "events"),
    [
        ("created", PENDING, []),
        ("scheduled", pod(), ["Scheduled"]),
        ("scheduled", WAITS, ["Scheduled", "Pulling"]),
        ("pulled", WAITS, ["Scheduled", "Pulling", "Pulled"]),
        ("started", STARTED, ["Scheduled"]),
    ],
)
def test_how_far_a_pod_has_come(at: str, found: dict[str, Any], events: list[str]) -> None:
    assert find_stage(found, [{"reason": reason} for reason in events]) == at
    assert find_problem(found) is None
    assert is_running(found) == (at == "started")
    assert not has_ended(found)


@pytest.mark.parametrize(
    ("reason", "said", "found"),
    [
        (
            "image",
            "The image lsst/lab:1 cannot be pulled. ImagePullBackOff: Back-off pulling",
            pod(container("notebook", waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling"})),
        ),
        (
            "config",
            "The lab's container cannot be made. CreateContainerConfigError: secret not found",
            pod(container("notebook", waiting={"reason": "CreateContainerConfigError", "message": "secret not found"})),
        ),
        ("unschedulable", "3 Insufficient memory", pod(conditions=[UNSCHEDULABLE])),
        (
            "rejected",
            "SupplementalGroupsPolicyNotSupported",
            pod(phase="Failed", reason="SupplementalGroupsPolicyNotSupported"),
        ),
    ],
)
def test_what_keeps_a_lab_from_starting(reason: str, said: str, found: dict[str, Any]) -> None:
    trouble = find_problem(found)
    assert trouble is not None
    assert trouble.reason == reason
    assert said in str(trouble)


@pytest.mark.parametrize(
    ("reason", "said", "found"),
    [
        (
            "memory",
            "more memory than its size allows",
            pod(container("notebook", terminated={"exitCode": 137, "reason": "OOMKilled"}), phase="Failed"),
        ),
        (
            "evicted",
            "running short of ephemeral-storage",
            pod(
                phase="Failed",
                reason="Evicted",
                message="The node was low on resource: ephemeral-storage. Threshold quantity: 1",
            ),
        ),
        ("node", "emptied for maintenance", pod(container("notebook", **DONE), conditions=[SCHEDULED, DRAINED])),
        ("shutdown", "was shut down", pod(container("notebook", **DONE), phase="Succeeded")),
        (
            "ended",
            "Its last lines (exit status 3):\nTraceback",
            pod(
                container("notebook", terminated={"exitCode": 3, "reason": "Error", "message": "Traceback"}),
                phase="Failed",
            ),
        ),
    ],
)
def test_why_a_lab_has_ended(reason: str, said: str, found: dict[str, Any]) -> None:
    assert has_ended(found)
    end = diagnose_end(found)
    assert end.reason == reason
    assert said in str(end)


def test_a_pod_that_somebody_deleted_was_deleted_whatever_its_containers_say() -> None:
    found = pod(container("notebook", terminated={"exitCode": 143, "reason": "Error"}))
    found["metadata"]["deletionTimestamp"] = "2026-11-23T03:00:00Z"
    assert diagnose_deletion(found).reason == "deleted"


def test_of_a_pod_that_nobody_saw_go_it_is_not_said_that_somebody_deleted_it() -> None:
    assert diagnose_deletion(None).reason == "unseen"


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (403, 'pods "lab-1" is forbidden: exceeded quota: labs, requested: pods=1', "quota"),
        (403, 'pods "lab-1" is forbidden: violates PodSecurity "restricted:latest"', "refused"),
        (422, "Pod is invalid: spec.containers[0].image: Required value", "refused"),
    ],
)
def test_what_the_api_refuses(status: int, message: str, reason: str) -> None:
    assert diagnose_refusal(status, message).reason == reason


def test_the_exit_status_is_the_labs() -> None:
    assert exit_status(pod(container("notebook", terminated={"exitCode": 7}))) == 7
    assert exit_status(pod()) == 1


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3600, "1 hour"), (14400, "4 hours"), (604800, "7 days"), (90, "90 seconds")],
)
def test_times_as_people_say_them(seconds: int, said: str) -> None:
    assert format_duration(seconds) == said
