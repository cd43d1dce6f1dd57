"""Test that the dashboard's JSON has Grafana's format. tests/cluster/test_dashboard.py tests the queries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

FILE = Path(__file__).parents[2] / "kubernetes/dashboard-configmap.yaml"
COLUMNS = 24


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    """Return the dashboard, parsed from the JSON text in the hub's ConfigMap."""
    content: dict[str, Any] = json.loads(yaml.safe_load(FILE.read_text())["data"]["jupyterlabdemo-hub.json"])
    return content


def find_losses(ours: Any, parsed: Any, path: str = "") -> list[str]:
    """Return each value of our dashboard that Grafana's types lose or change, with the path of the value."""
    if isinstance(ours, dict) and isinstance(parsed, dict):
        pairs = [(key, value, parsed.get(key)) for key, value in ours.items()]
    elif isinstance(ours, list) and isinstance(parsed, list) and len(ours) == len(parsed):
        pairs = [(str(number), value, parsed[number]) for number, value in enumerate(ours)]
    else:
        return [] if ours == parsed else [f"{path}: {ours}"]
    return [loss for key, value, other in pairs for loss in find_losses(value, other, f"{path}.{key}")]


def test_grafana_knows_every_key_and_value(dashboard: dict[str, Any]) -> None:
    register_default_plugins()
    parsed = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    assert find_losses(dashboard, parsed) == []


def test_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        position = panel["gridPos"]
        assert position["x"] + position["w"] <= COLUMNS
        for x in range(position["x"], position["x"] + position["w"]):
            for y in range(position["y"], position["y"] + position["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
