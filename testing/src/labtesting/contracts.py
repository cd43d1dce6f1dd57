"""What crosses from one component to another, as JSON that both sides' tests hold themselves against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "contracts"


def read_contract(name: str) -> Any:
    """Read `testing/contracts/<name>.json`."""
    return json.loads((FOLDER / f"{name}.json").read_text())
