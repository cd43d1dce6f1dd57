"""The tracker of a start: stages, problems that last, and the deadline."""

from __future__ import annotations

from typing import Any

import pytest
from labhub.labs.pod_status import STAGE_MESSAGES, Diagnosis
from labhub.labs.spawn_errors import SpawnFailedError
from labhub.labs.start_tracker import ProblemDebouncer, StartLimits, StartTracker

from hub.tests.unit.fake_api import make_pod, make_running_pod

SCHEDULED = {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]}
PULLED = [{"reason": "Pulled", "type": "Normal", "message": "pulled"}]
FAILED_MOUNT = [{"reason": "FailedMount", "type": "Warning", "message": "mount.nfs: timeout"}]


def make_tracker() -> StartTracker:
    return StartTracker(StartLimits(pull=100, lab=10, unschedulable=30), now=0)


def unschedulable() -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no memory"}
    return make_pod("lab-1", status={"phase": "Pending", "conditions": [condition]})


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


def test_the_last_warning_of_kubernetes_explains_a_timeout() -> None:
    with pytest.raises(SpawnFailedError) as failed:
        make_tracker().check_deadline([*FAILED_MOUNT, *PULLED], 101)
    assert failed.value.diagnosis.detail == "mount.nfs: timeout"


def test_a_full_cluster_fails_the_start_after_its_limit() -> None:
    tracker = make_tracker()
    for now in (1, 30):
        tracker.update(unschedulable(), [], now)
    with pytest.raises(SpawnFailedError) as failed:
        tracker.update(unschedulable(), [], 31)
    assert (failed.value.diagnosis.reason, failed.value.diagnosis.detail) == ("unschedulable", "no memory")


def test_a_problem_counts_only_if_it_lasts() -> None:
    debouncer, problem = ProblemDebouncer({"image": 5}), Diagnosis("image", "x")
    assert debouncer.confirm(problem, 0) is None
    assert debouncer.confirm(None, 3) is None
    assert debouncer.confirm(problem, 6) is None
    assert debouncer.confirm(problem, 10.9) is None
    assert debouncer.confirm(problem, 11) is problem
    assert debouncer.confirm(Diagnosis("home", "at once"), 11) is not None
