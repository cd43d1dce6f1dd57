"""Contracts between two components: JSON files with which the tests of both components compare their data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "contracts"


def read_contract(name: str) -> Any:
    """Return the content of `testing/contracts/<name>.json`."""
    return json.loads((FOLDER / f"{name}.json").read_text())
