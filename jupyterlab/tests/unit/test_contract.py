"""The lab understands what the hub's contract says that it is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from jsonschema import Draft202012Validator
from labtesting.contracts import read_contract
from lsstlab import session
from lsstlab.lifetime import Lifetime

CONTRACT: dict[str, Any] = read_contract("lab-environment")
TOLD = {
    "HOME": "/home/vera",
    "USER": "vera",
    "LOGNAME": "vera",
    "SHELL": "/bin/bash",
    "LAB_SCRATCH": "/tmp/lab",
    "LAB_IDLE_SECONDS": "14400",
    "LAB_MAX_AGE_SECONDS": "604800",
    "LAB_WARNING_SECONDS": "900",
    "LAB_LOG": "json",
    "LAB_ANNOUNCEMENT_PATH": "/hub/api/announcement",
}


def test_these_tests_tell_a_lab_what_the_contract_allows() -> None:
    Draft202012Validator(CONTRACT).validate(TOLD)


def test_every_limit_of_the_contract_is_read() -> None:
    assert {name for name in CONTRACT["properties"] if name.endswith("_SECONDS")} == {
        name for name in TOLD if name.endswith("_SECONDS")
    }
    assert Lifetime.read(TOLD) == Lifetime(timedelta(hours=4), timedelta(days=7), timedelta(minutes=15))


def test_the_scratch_folder_of_the_contract_is_used() -> None:
    surroundings = session.environment(TOLD)
    assert surroundings["LAB_SCRATCH"] == "/tmp/lab"
    assert surroundings["JUPYTER_RUNTIME_DIR"] == "/tmp/lab/runtime"
    assert surroundings["SHELL"] == "/bin/bash"
