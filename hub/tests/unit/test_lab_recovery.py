"""Which labs a hub takes up that its database does not know."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from labhub.lifecycle.lab_recovery import find_unknown
from labhub.web.announcement import Gated, NotNowError
from labhub.labs.pod import OWNER

LAST_HEARD = datetime(2026, 3, 1, 12)


def pod(name: str, **changes: Any) -> dict[str, Any]:
    metadata = {"name": name, "annotations": {OWNER: "vera"}, "creationTimestamp": "2026-03-01T12:00:01Z"}
    status = {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "containerStatuses": [{"name": "notebook", "state": {"running": {}}}],
    }
    return {"metadata": metadata | changes, "status": status | changes.pop("status", {})}


def names(*pods: dict[str, Any], claimed: tuple[str, ...] = ()) -> list[str]:
    return [found["metadata"]["name"] for found in find_unknown(pods, claimed, LAST_HEARD)]


def test_what_was_made_after_the_database_last_heard_of_anybody_is_taken_up() -> None:
    assert names(pod("lab-1"), pod("lab-2"), claimed=("lab-2",)) == ["lab-1"]
    assert len(find_unknown([pod("lab-1", creationTimestamp="2020-01-01T00:00:00Z")], (), datetime.min)) == 1


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"creationTimestamp": "2026-03-01T11:59:59Z"}, id="it was to be stopped"),
        pytest.param({"deletionTimestamp": "2026-03-01T12:00:02Z"}, id="it is being deleted"),
        pytest.param({"annotations": {}}, id="no hub has made it"),
        pytest.param({"status": {"containerStatuses": []}}, id="it does not run"),
    ],
)
def test_others_stay_orphans(other: dict[str, Any]) -> None:
    assert names(pod("lab-1", **other)) == []


@pytest.mark.asyncio
async def test_meanwhile_no_lab_is_started() -> None:
    handler: Any = SimpleNamespace(app=SimpleNamespace(board=SimpleNamespace(stop=None), adopting=True))
    with pytest.raises(NotNowError, match="finds the labs that run"):
        await Gated.spawn_single_user(handler, None)
