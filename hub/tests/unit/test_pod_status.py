"""Tests of how the hub interprets the status of a pod, as kubelet and the scheduler write it."""

from __future__ import annotations

from typing import Any

import pytest
from labhub.labs.pod_status import (
    diagnose_deletion,
    diagnose_end,
    diagnose_refusal,
    exit_status,
    find_stage,
    format_duration,
    has_ended,
    is_running,
)
from labhub.models.pod_events import PodEvent

SCHEDULED = {"type": "PodScheduled", "status": "True"}
DRAINED = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}


def container(name: str, **state: Any) -> dict[str, Any]:
    """Return the status of a pod's container."""
    return {"name": name, "image": "lsst/lab:1", "ready": "running" in state, "state": state}


def pod(*containers: dict[str, Any], conditions: list[dict[str, Any]] | None = None, **status: Any) -> dict[str, Any]:
    """Return a pod whose status has these container statuses, conditions and other fields."""
    fields = {"phase": "Pending", "conditions": [SCHEDULED] if conditions is None else conditions, **status}
    if containers:
        fields["containerStatuses"] = list(containers)
    return {"metadata": {"name": "lab-1", "namespace": "labs", "uid": "u"}, "status": fields}


WAITING = {"waiting": {"reason": "ContainerCreating"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}
RUNNING = {"running": {"startedAt": "2026-11-23T03:00:00Z"}}
PENDING = pod(conditions=[])
CREATING = pod(container("notebook", **WAITING))
STARTED = pod(container("notebook", **RUNNING), podIP="10.0.0.1", phase="Running")


@pytest.mark.parametrize(
    ("stage", "manifest", "events"),
    [
        ("created", PENDING, []),
        ("scheduled", pod(), ["Scheduled"]),
        ("scheduled", CREATING, ["Scheduled", "Pulling"]),
        ("pulled", CREATING, ["Scheduled", "Pulling", "Pulled"]),
        ("scheduled", pod({"name": "notebook", "state": {}}), ["Scheduled"]),
        ("scheduled", pod({"name": "notebook"}), ["Scheduled"]),
        ("started", STARTED, ["Scheduled"]),
    ],
)
def test_stage_of_a_pod_is_found(stage: str, manifest: dict[str, Any], events: list[str]) -> None:
    assert find_stage(manifest, [PodEvent(reason=reason) for reason in events]) == stage
    assert is_running(manifest) == (stage == "started")
    assert not has_ended(manifest)


@pytest.mark.parametrize(
    ("reason", "message", "manifest"),
    [
        (
            "memory",
            "more memory than its size allows",
            pod(container("notebook", terminated={"exitCode": 137, "reason": "OOMKilled"}), phase="Failed"),
        ),
        (
            "evicted",
            "low on ephemeral-storage",
            pod(
                phase="Failed",
                reason="Evicted",
                message="The node was low on resource: ephemeral-storage. Threshold quantity: 1",
            ),
        ),
        ("node", "drained for maintenance", pod(container("notebook", **DONE), conditions=[SCHEDULED, DRAINED])),
        ("shutdown", "was shut down", pod(container("notebook", **DONE), phase="Succeeded")),
        (
            "ended",
            "Last lines of its output (exit status 3):\nTraceback",
            pod(
                container("notebook", terminated={"exitCode": 3, "reason": "Error", "message": "Traceback"}),
                phase="Failed",
            ),
        ),
    ],
)
def test_end_of_a_lab_is_diagnosed(reason: str, message: str, manifest: dict[str, Any]) -> None:
    assert has_ended(manifest)
    end = diagnose_end(manifest)
    assert end.reason == reason
    assert message in str(end)


def test_deletion_is_the_reason_despite_an_exit_code() -> None:
    manifest = pod(container("notebook", terminated={"exitCode": 143, "reason": "Error"}))
    manifest["metadata"]["deletionTimestamp"] = "2026-11-23T03:00:00Z"
    assert diagnose_deletion(manifest).reason == "deleted"


def test_vanished_pod_has_the_reason_unseen() -> None:
    assert diagnose_deletion(None).reason == "unseen"


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        (403, 'pods "lab-1" is forbidden: exceeded quota: labs, requested: pods=1', "quota"),
        (403, 'pods "lab-1" is forbidden: violates PodSecurity "restricted:latest"', "refused"),
        (422, "Pod is invalid: spec.containers[0].image: Required value", "refused"),
    ],
)
def test_refusal_of_the_api_is_diagnosed(status: int, message: str, reason: str) -> None:
    assert diagnose_refusal(status, message).reason == reason


def test_exit_status_is_that_of_the_lab() -> None:
    assert exit_status(pod(container("notebook", terminated={"exitCode": 7}))) == 7
    assert exit_status(pod()) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3600, "1 hour"), (14400, "4 hours"), (604800, "7 days"), (90, "90 seconds")],
)
def test_durations_are_formatted_with_units(seconds: int, text: str) -> None:
    assert format_duration(seconds) == text
