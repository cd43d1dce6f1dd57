"""Tests of the problems and progress events that the hub derives from the status and the events of a pod."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labhub.labs.pod_status import MESSAGES, STAGE_MESSAGES, exit_status, find_stage, has_ended, is_running
from labhub.labs.starting.progress_feed import ProgressFeed
from labhub.labs.starting.start_problem import NODE_NOTICES, Patience, find_problem
from labhub.models.pod_events import PodEvent

from hub.tests.unit.fake_api import make_pod
from hub.tests.unit.test_node_wait import NO_FIT, SCALE_UP, TOO_SMALL

SCHEDULED = {"type": "PodScheduled", "status": "True"}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    """Return a pod whose container waits for the given reason."""
    state = {"waiting": {"reason": reason, "message": message}}
    status = {"name": "notebook", "image": "lsst/lab:1", "state": state}
    return make_pod("lab-1", status={"phase": "Pending", "conditions": [SCHEDULED], "containerStatuses": [status]})


def unscheduled(message: str, reason: str = "Unschedulable") -> dict[str, Any]:
    """Return a pod that has no node yet. The scheduler's message is in the condition `PodScheduled`."""
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return make_pod("lab-1", status={"phase": "Pending", "conditions": [condition]})


@pytest.mark.parametrize(
    ("manifest", "reason", "patience", "detail"),
    [
        (waiting("ErrImagePull", "pull QPS exceeded"), "image", Patience.DEADLINE, "ErrImagePull: pull QPS exceeded"),
        (waiting("ErrImagePull", "manifest unknown"), "image", Patience.NONE, "ErrImagePull: manifest unknown"),
        (waiting("InvalidImageName"), "image", Patience.NONE, "InvalidImageName:"),
        (waiting("CreateContainerConfigError", 'secret "x" not found'), "config", Patience.SECONDS, "not found"),
        (waiting("CreateContainerError", "context deadline exceeded"), "config", Patience.DEADLINE, "exceeded"),
        (unscheduled("0/1 nodes are available"), "unschedulable", Patience.NODE, "0/1 nodes are available"),
        (unscheduled("waits for a gate", "SchedulingGated"), "unschedulable", Patience.NODE, "waits for a gate"),
        (
            make_pod("lab-1", status={"phase": "Failed", "reason": "SupplementalGroupsPolicyNotSupported"}),
            "rejected",
            Patience.NONE,
            "SupplementalGroupsPolicyNotSupported",
        ),
    ],
    ids=["QPS", "unknown image", "invalid name", "no secret", "busy node", "full", "gated", "rejected"],
)
def test_each_problem_has_a_reason_and_a_patience(
    manifest: dict[str, Any], reason: str, patience: Patience, detail: str
) -> None:
    problem = find_problem(manifest, [])
    assert problem is not None
    assert (problem.diagnosis.reason, problem.patience) == (reason, patience)
    assert detail in problem.diagnosis.detail
    assert bool(problem.notice) == (patience is not Patience.NONE)


def test_the_message_names_the_image() -> None:
    problem = find_problem(waiting("ErrImagePull", "manifest unknown"), [])
    assert problem is not None
    assert problem.diagnosis.message == MESSAGES["image"].format(image="lsst/lab:1")


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing", "SomethingNew"])
def test_unknown_reason_counts_as_no_problem(reason: str) -> None:
    assert find_problem(waiting(reason), []) is None


def test_a_size_that_no_node_type_has_is_permanent() -> None:
    problem = find_problem(unscheduled(TOO_SMALL), [PodEvent("u", "NotTriggerScaleUp", NO_FIT)])
    assert problem is not None
    assert (problem.diagnosis.reason, problem.patience) == ("too_large", Patience.NONE)
    assert problem.diagnosis.detail == NO_FIT


def test_the_progress_page_shows_each_state_of_the_wait_once() -> None:
    feed = ProgressFeed("10 minutes")
    pod, scale_up = unscheduled(TOO_SMALL), PodEvent("u", "TriggeredScaleUp", SCALE_UP)
    [first] = feed.update(pod, [])
    assert first["notice"] == NODE_NOTICES["too_small"].format(limit="10 minutes")
    assert first["message"] == f"{first['notice']} {TOO_SMALL}"
    assert list(feed.update(pod, [])) == []
    event, second = feed.update(pod, [scale_up])
    assert event == {"progress": 20, "message": SCALE_UP}
    assert (second["notice"], second["detail"]) == (NODE_NOTICES["coming"], SCALE_UP)
    assert list(feed.update(pod, [scale_up])) == []
    [third] = feed.update(waiting("ContainerCreating"), [scale_up])
    assert (third["progress"], third["message"]) == (40, STAGE_MESSAGES["scheduled"])


def test_after_a_delay_the_progress_page_shows_the_stage_again() -> None:
    feed = ProgressFeed("10 minutes")
    shown = [event["message"] for delay in ("", "Waiting", "") for event in feed.update(None, [], delay)]
    assert shown == [STAGE_MESSAGES["created"], "Waiting", STAGE_MESSAGES["created"]]


def test_the_detail_of_a_delay_is_shown_when_it_changes() -> None:
    feed = ProgressFeed("10 minutes")
    details = ("Pod: lab-1", "Pod: lab-1", "Finalizers: example.org/hold")
    events = [event for detail in details for event in feed.update(None, [], "Waiting", detail)]
    assert [event["detail"] for event in events] == ["Pod: lab-1", "Finalizers: example.org/hold"]
    assert {event["notice"] for event in events} == {"Waiting"}


def test_an_event_without_a_message_is_not_shown() -> None:
    feed = ProgressFeed("10 minutes")
    [only] = feed.update(None, [PodEvent("u", "Odd"), PodEvent("u")])
    assert only["message"] == STAGE_MESSAGES["created"]


TEXT = st.none() | st.text(max_size=3)
STATE = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "waiting": st.none() | st.fixed_dictionaries({}, optional={"reason": TEXT, "message": TEXT}),
        "running": st.just({}),
        "terminated": st.fixed_dictionaries({}, optional={"reason": TEXT, "message": TEXT, "exitCode": st.integers()}),
    },
)
STATUS = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "phase": TEXT | st.just("Failed"),
        "reason": TEXT | st.just("Evicted"),
        "message": TEXT,
        "podIP": TEXT,
        "conditions": st.none()
        | st.lists(st.fixed_dictionaries({}, optional={"type": st.just("PodScheduled") | TEXT, "status": TEXT})),
        "containerStatuses": st.none()
        | st.lists(st.fixed_dictionaries({}, optional={"name": st.just("notebook") | TEXT, "state": STATE})),
    },
)
EVENTS = st.lists(st.builds(PodEvent, reason=st.text(max_size=3), message=st.text(max_size=3), time=st.text()))


@given(STATUS, EVENTS)
def test_no_status_of_a_pod_raises_an_error(status: dict[str, Any] | None, events: list[PodEvent]) -> None:
    pod = make_pod("lab-1", status=status)
    find_problem(pod, events)
    find_stage(pod, events)
    list(ProgressFeed("10 minutes").update(pod, events))
    assert isinstance(exit_status(pod), int)
    assert not (is_running(pod) and has_ended(pod)) or has_ended(pod)
