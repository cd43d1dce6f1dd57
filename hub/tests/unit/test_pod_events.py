"""Tests of the parser of pods' events, with events in the API's forms. `cluster/test_waiting.py` uses a real API."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labhub.models.pod_events import PodEvent, parse_event

POD = {"kind": "Pod", "namespace": "labs", "name": "lab-1", "uid": "uid-1"}
METADATA = {"name": "lab-1.1", "namespace": "labs", "creationTimestamp": "2026-11-30T12:00:00Z"}
KUBELET = {
    "metadata": METADATA,
    "involvedObject": POD,
    "reason": "Pulled",
    "message": "Successfully pulled image",
    "type": "Normal",
    "source": {"component": "kubelet", "host": "node0"},
    "reportingComponent": "",
    "firstTimestamp": "2026-11-30T12:00:00Z",
    "lastTimestamp": "2026-11-30T12:00:07Z",
    "eventTime": None,
    "count": 2,
}
# The older API of events (v1) returns an event in this form if it was created with the newer one (events.k8s.io/v1).
NEW_FORM = {
    "metadata": METADATA,
    "involvedObject": POD,
    "reason": "TriggeredScaleUp",
    "message": "pod triggered scale-up: [{pool 1->2 (max: 3)}]",
    "type": "Normal",
    "source": {},
    "reportingComponent": "cluster-autoscaler",
    "firstTimestamp": None,
    "lastTimestamp": None,
    "eventTime": "2026-11-30T12:00:01.000000Z",
    "series": {"count": 2, "lastObservedTime": "2026-11-30T12:00:05.250000Z"},
}
# The API accepts even an event without a message and a time, or with an unknown type.
BARE = {
    "metadata": METADATA,
    "involvedObject": POD,
    "type": "Strange",
    "source": {},
    "firstTimestamp": None,
    "lastTimestamp": None,
    "eventTime": None,
}


@pytest.mark.parametrize(
    ("item", "event"),
    [
        (
            KUBELET,
            PodEvent("uid-1", "Pulled", "Successfully pulled image", "Normal", "kubelet", "2026-11-30T12:00:07"),
        ),
        (
            NEW_FORM,
            PodEvent(
                "uid-1",
                "TriggeredScaleUp",
                "pod triggered scale-up: [{pool 1->2 (max: 3)}]",
                "Normal",
                "cluster-autoscaler",
                "2026-11-30T12:00:05.250000",
            ),
        ),
        (BARE, PodEvent("uid-1", type="Strange", time="2026-11-30T12:00:00")),
        ({"metadata": None, "involvedObject": None, "message": None, "series": {"lastObservedTime": None}}, PodEvent()),
        ({}, PodEvent()),
    ],
    ids=["kubelet's", "events.k8s.io", "without times", "empty parts", "empty"],
)
def test_each_form_of_an_event_is_read(item: dict[str, Any], event: PodEvent) -> None:
    assert parse_event(item) == event


def test_times_of_both_forms_sort_together() -> None:
    later = {**KUBELET, "lastTimestamp": "2026-11-30T12:00:08Z"}
    events = sorted((parse_event(item) for item in (later, NEW_FORM, KUBELET, BARE)), key=lambda event: event.time)
    assert events == [parse_event(item) for item in (BARE, NEW_FORM, KUBELET, later)]


ODD = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.none(), max_size=1)
PARTS = st.dictionaries(st.sampled_from(["uid", "component", "lastObservedTime", "creationTimestamp"]), ODD)


@given(st.dictionaries(st.sampled_from(sorted(KUBELET.keys() | NEW_FORM.keys())), ODD | PARTS))
def test_no_content_of_an_event_raises_an_error(item: dict[str, Any]) -> None:
    event = parse_event(item)
    assert all(isinstance(value, str) for value in vars(event).values())
