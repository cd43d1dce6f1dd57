"""Tests of `find_lost_labs`, which selects the labs that the hub recovers after the loss of its database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from labhub.lifecycle.lab_recovery import find_lost_labs
from labhub.models.pod_types import OWNER

LAST_ACTIVITY = datetime(2026, 3, 1, 12)


def make_lab(name: str, **changes: Any) -> dict[str, Any]:
    metadata = {"name": name, "annotations": {OWNER: "vera"}, "creationTimestamp": "2026-03-01T12:00:01Z"}
    status = {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "containerStatuses": [{"name": "notebook", "state": {"running": {}}}],
    }
    status |= changes.pop("status", {})
    return {"metadata": metadata | changes, "status": status}


def find_names(*pods: dict[str, Any], claimed: tuple[str, ...] = ()) -> list[str]:
    return [pod["metadata"]["name"] for pod in find_lost_labs(pods, claimed, LAST_ACTIVITY)]


def test_lab_newer_than_the_database_is_recovered() -> None:
    assert find_names(make_lab("lab-1"), make_lab("lab-2"), claimed=("lab-2",)) == ["lab-1"]
    assert len(find_lost_labs([make_lab("lab-1", creationTimestamp="2020-01-01T00:00:00Z")], (), datetime.min)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"creationTimestamp": "2026-03-01T11:59:59Z"}, id="older than the database"),
        pytest.param({"deletionTimestamp": "2026-03-01T12:00:02Z"}, id="being deleted"),
        pytest.param({"annotations": {}}, id="not created by a hub"),
        pytest.param({"status": {"containerStatuses": []}}, id="not running"),
    ],
)
def test_other_pods_are_not_recovered(changes: dict[str, Any]) -> None:
    assert find_names(make_lab("lab-1", **changes)) == []
