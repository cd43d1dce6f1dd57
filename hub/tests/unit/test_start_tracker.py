"""Tests of `StartTracker`: the stages of a start, problems that last too long, and the deadline."""

from __future__ import annotations

from typing import Any

import pytest
from labhub.labs.pod_status import STAGE_MESSAGES
from labhub.labs.spawn_errors import SpawnFailedError
from labhub.labs.start_tracker import CONFIRM_SECONDS, StartLimits, StartTracker
from labhub.models.pod_events import PodEvent

from hub.tests.unit.fake_api import make_pod, make_running_pod
from hub.tests.unit.test_node_wait import NO_FIT, TOO_SMALL
from hub.tests.unit.test_start_problem import unscheduled, waiting

SCHEDULED = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]}
PULLED = [PodEvent(reason="Pulled", type="Normal", message="pulled")]
FAILED_MOUNT = [PodEvent(reason="FailedMount", type="Warning", message="mount.nfs: timeout")]
FULL = unscheduled("no memory")
QPS = waiting("ErrImagePull", "pull QPS exceeded")
NOT_FOUND = waiting("ErrImagePull", "manifest unknown")
NO_SECRET = waiting("CreateContainerConfigError", 'secret "x" not found')
BUSY = waiting("CreateContainerError", "context deadline exceeded")


def make_tracker() -> StartTracker:
    return StartTracker(StartLimits(pull=100, lab=10, unschedulable=30), now=0)


def failure(tracker: StartTracker, pod: dict[str, Any] | None, now: float, *events: PodEvent) -> tuple[str, str]:
    """Update the tracker, check that this raises an error, and return the reason and the detail of the error."""
    with pytest.raises(SpawnFailedError) as failed:
        tracker.update(pod, events, now)
    return failed.value.diagnosis.reason, failed.value.diagnosis.detail


def test_each_stage_has_the_time_when_it_was_reached() -> None:
    tracker = make_tracker()
    tracker.update(None, [], 1)
    assert tracker.reached == {}
    tracker.update(make_pod("lab-1", status=SCHEDULED), [], 2)
    tracker.update(make_pod("lab-1", status=SCHEDULED), PULLED, 5)
    tracker.update(make_running_pod("lab-1", 8888), PULLED, 6)
    tracker.update(make_running_pod("lab-1", 8888), PULLED, 7)
    assert tracker.reached == {"scheduled": 2, "pulled": 5, "started": 6}


def test_a_stage_that_was_never_seen_is_reached_with_the_next() -> None:
    tracker = make_tracker()
    tracker.update(make_running_pod("lab-1", 8888), [], 4)
    assert tracker.reached == {"scheduled": 4, "pulled": 4, "started": 4}


def test_the_image_has_the_long_limit_and_the_lab_the_short_one() -> None:
    tracker = make_tracker()
    tracker.update(make_pod("lab-1", status=SCHEDULED), [], 90)
    tracker.check_deadline([], 99)
    tracker.update(make_running_pod("lab-1", 8888), [], 99)
    tracker.check_deadline([], 109)
    with pytest.raises(SpawnFailedError) as failed:
        tracker.check_deadline([], 110)
    assert failed.value.diagnosis.reason == "timeout"
    assert failed.value.diagnosis.detail == f"Last stage: {STAGE_MESSAGES['started']}"


def test_the_wait_for_a_node_does_not_shorten_the_pull() -> None:
    tracker = make_tracker()
    tracker.update(FULL, [], 1)
    tracker.update(FULL, [], 30)
    tracker.check_deadline([], 30)
    tracker.update(make_pod("lab-1", status=SCHEDULED), [], 30.5)
    tracker.check_deadline([], 130)
    with pytest.raises(SpawnFailedError):
        tracker.check_deadline([], 131)


def test_a_scheduler_that_reports_nothing_ends_the_start() -> None:
    tracker = make_tracker()
    tracker.update(make_pod("lab-1"), [], 1)
    tracker.check_deadline([], 130)
    with pytest.raises(SpawnFailedError) as failed:
        tracker.check_deadline([], 131)
    assert failed.value.diagnosis.detail == f"Last stage: {STAGE_MESSAGES['created']}"


def test_the_last_warning_of_kubernetes_explains_a_timeout() -> None:
    with pytest.raises(SpawnFailedError) as failed:
        make_tracker().check_deadline([*FAILED_MOUNT, PodEvent(type="Warning"), *PULLED], 131)
    assert failed.value.diagnosis.detail == "mount.nfs: timeout"


def test_a_full_cluster_fails_the_start_after_its_limit() -> None:
    tracker = make_tracker()
    for now in (1, 30):
        tracker.update(FULL, [], now)
    assert failure(tracker, FULL, 31) == ("unschedulable", "no memory")


def test_lost_node_restarts_the_wait() -> None:
    tracker = make_tracker()
    tracker.update(FULL, [], 1)
    tracker.update(make_pod("lab-1"), [], 20)
    tracker.update(FULL, [], 25)
    tracker.update(FULL, [], 54)
    assert failure(tracker, FULL, 55)[0] == "unschedulable"


def test_a_size_that_no_node_type_has_fails_at_once() -> None:
    tracker = make_tracker()
    tracker.update(unscheduled(TOO_SMALL), [], 1)
    declined = PodEvent("u", "NotTriggerScaleUp", NO_FIT)
    assert failure(tracker, unscheduled(TOO_SMALL), 2, declined) == ("too_large", NO_FIT)


def test_an_image_that_does_not_exist_fails_at_once() -> None:
    assert failure(make_tracker(), NOT_FOUND, 1) == ("image", "ErrImagePull: manifest unknown")


def test_a_limited_pull_waits_until_the_deadline() -> None:
    tracker = make_tracker()
    for now in (1, 50, 101):
        tracker.update(QPS, [], now)
        tracker.check_deadline([], now)
    with pytest.raises(SpawnFailedError) as failed:
        tracker.check_deadline(FAILED_MOUNT, 102)
    assert failed.value.diagnosis.reason == "image"
    assert failed.value.diagnosis.detail == "ErrImagePull: pull QPS exceeded"


def test_a_limited_pull_that_succeeds_starts_the_lab() -> None:
    tracker = make_tracker()
    tracker.update(QPS, [], 50)
    tracker.update(make_running_pod("lab-1", 8888), PULLED, 60)
    tracker.check_deadline([], 69)
    assert tracker.reached["started"] == 60


def test_a_configuration_problem_counts_only_if_it_lasts() -> None:
    tracker = make_tracker()
    tracker.update(NO_SECRET, [], 1)
    tracker.update(make_pod("lab-1", status=SCHEDULED), [], 4)
    tracker.update(NO_SECRET, [], 5)
    tracker.update(NO_SECRET, [], 4.9 + CONFIRM_SECONDS)
    assert failure(tracker, NO_SECRET, 5 + CONFIRM_SECONDS)[0] == "config"


def test_a_busy_node_does_not_use_up_the_time_of_a_problem() -> None:
    tracker = make_tracker()
    tracker.update(BUSY, [], 1)
    tracker.update(BUSY, [], 60)
    tracker.update(NO_SECRET, [], 61)
    assert failure(tracker, NO_SECRET, 61 + CONFIRM_SECONDS)[0] == "config"


def test_a_pod_that_disappears_ends_the_start() -> None:
    tracker = make_tracker()
    tracker.update(None, [], 1)
    tracker.update(FULL, [], 2)
    assert failure(tracker, None, 3)[0] == "deleted"
