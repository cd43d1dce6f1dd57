"""Events of pods. Kubernetes can leave out each field of an event, so the fields are read here only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PodEvent:
    """An event of a pod. A field that Kubernetes has left out is an empty text.

    Attributes
    ----------
    pod_uid
        UID of the pod.
    reason
        Reason in the form of Kubernetes, for example `Pulled`.
    message
        Text for people.
    type
        `Normal` or `Warning`. Kubernetes may add other types.
    component
        Program that sent the event, for example `default-scheduler`.
    time
        Time of the last occurrence, in a form whose alphabetical order is the order in time.
    """

    pod_uid: str = ""
    reason: str = ""
    message: str = ""
    type: str = ""
    component: str = ""
    time: str = ""


def parse_event(item: Mapping[str, Any]) -> PodEvent:
    """Parse an event in the form of the Kubernetes API, of any of its generations. Unreadable fields are empty."""
    return PodEvent(
        pod_uid=_text(_part(item, "involvedObject"), "uid"),
        reason=_text(item, "reason"),
        message=_text(item, "message"),
        type=_text(item, "type"),
        component=_text(item, "reportingComponent") or _text(_part(item, "source"), "component"),
        time=last_time(item),
    )


def last_time(item: Mapping[str, Any]) -> str:
    """Return the latest time in an event, or an empty text.

    Programs that use the older API set `lastTimestamp`. The scheduler and others set only `eventTime`, and `series`
    if the event repeats. The API server always sets `creationTimestamp`.
    """
    times = (
        _text(_part(item, "series"), "lastObservedTime"),
        _text(item, "lastTimestamp"),
        _text(item, "eventTime"),
        _text(item, "firstTimestamp"),
        _text(_part(item, "metadata"), "creationTimestamp"),
    )
    # Without the final Z, a time in full seconds sorts before one with a fraction of the same second.
    return max(time.rstrip("Z") for time in times)


def _part(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = item.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""
