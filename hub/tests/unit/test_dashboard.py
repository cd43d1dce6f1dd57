"""The dashboard is one as Grafana knows them, by the types that Grafana publishes. What it asks: tests/cluster."""

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
    """Give the dashboard."""
    found: dict[str, Any] = json.loads(yaml.safe_load(FILE.read_text())["data"]["jupyterlabdemo-hub.json"])
    return found


def lost(ours: Any, grafanas: Any, where: str = "") -> list[str]:
    """Name what of ours Grafana's types have not taken."""
    if isinstance(ours, dict) and isinstance(grafanas, dict):
        pairs = [(key, value, grafanas.get(key)) for key, value in ours.items()]
    elif isinstance(ours, list) and isinstance(grafanas, list) and len(ours) == len(grafanas):
        pairs = [(str(number), one, grafanas[number]) for number, one in enumerate(ours)]
    else:
        return [] if ours == grafanas else [f"{where}: {ours}"]
    return [found for key, one, other in pairs for found in lost(one, other, f"{where}.{key}")]


def test_grafana_knows_every_key_and_value(dashboard: dict[str, Any]) -> None:
    register_default_plugins()
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    assert lost(dashboard, read) == []


def test_no_panel_lies_on_another(dashboard: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= COLUMNS
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
