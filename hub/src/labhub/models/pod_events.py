"""Events of pods. Only this module reads an event's fields, because each can be missing or of an unexpected type."""

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
        UID of the pod that the event is about.
    reason
        Kubernetes' short name of the reason, for example `Pulled`.
    message
        Text of the event in plain English.
    type
        `Normal` or `Warning`. Kubernetes may add other types.
    component
        Program that sent the event, for example `default-scheduler`.
    time
        Time of the event's last occurrence, as text. The alphabetical order of these texts is the order in time.
    """

    pod_uid: str = ""
    reason: str = ""
    message: str = ""
    type: str = ""
    component: str = ""
    time: str = ""


def parse_event(item: Mapping[str, Any]) -> PodEvent:
    """Parse an event as the Kubernetes API returns it. A missing or unreadable field becomes an empty text.

    The event may have been created with the older API of events (v1) or with the newer one (events.k8s.io/v1).
    """
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

    Programs that use the older API of events set `lastTimestamp`. Programs that use the newer one, such as the
    scheduler, set only `eventTime`, and `series` if the event repeats. The API server sets `creationTimestamp` in each
    event.
    """
    times = (
        _text(_part(item, "series"), "lastObservedTime"),
        _text(item, "lastTimestamp"),
        _text(item, "eventTime"),
        _text(item, "firstTimestamp"),
        _text(_part(item, "metadata"), "creationTimestamp"),
    )
    # Remove the final Z. A time in full seconds then sorts before a time with a fraction of the same second.
    return max(time.rstrip("Z") for time in times)


def _part(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = item.get(name)
    return value if isinstance(value, Mapping) else {}


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""
