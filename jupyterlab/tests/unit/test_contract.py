"""Tests that the lab reads the environment variables that the hub sets (testing/contracts/lab-environment.json)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from jsonschema import Draft202012Validator
from labtesting.contracts import read_contract
from lsstlab.clean_settings import wants_clean_settings
from lsstlab.hub_limits import LabLimits
from lsstlab.lab_environment import lab_variables

CONTRACT: dict[str, Any] = read_contract("lab-environment")
ENVIRONMENT = {
    "HOME": "/home/vera",
    "USER": "vera",
    "LOGNAME": "vera",
    "SHELL": "/bin/bash",
    "LAB_SCRATCH": "/tmp/lab",
    "LAB_IDLE_SECONDS": "14400",
    "LAB_MAX_AGE_SECONDS": "604800",
    "LAB_WARNING_SECONDS": "900",
    "LAB_STOP_SECONDS": "30",
    "LAB_LOG": "json",
    "LAB_ANNOUNCEMENT_PATH": "/hub/api/announcement",
    "LAB_CLEAN_SETTINGS": "1",
}


def test_the_environment_of_these_tests_fits_the_contract() -> None:
    Draft202012Validator(CONTRACT).validate(ENVIRONMENT)


def test_every_limit_of_the_contract_is_read() -> None:
    assert {name for name in CONTRACT["properties"] if name.endswith("_SECONDS")} == {
        name for name in ENVIRONMENT if name.endswith("_SECONDS")
    }
    assert LabLimits.from_environment(ENVIRONMENT) == LabLimits(
        timedelta(hours=4), timedelta(days=7), timedelta(minutes=15), timedelta(seconds=30)
    )


def test_the_scratch_folder_of_the_contract_is_used() -> None:
    variables = lab_variables(ENVIRONMENT)
    assert variables["LAB_SCRATCH"] == "/tmp/lab"
    assert variables["JUPYTER_RUNTIME_DIR"] == "/tmp/lab/runtime"
    assert variables["SHELL"] == "/bin/bash"


def test_the_value_of_the_contract_requests_clean_settings() -> None:
    assert CONTRACT["properties"]["LAB_CLEAN_SETTINGS"]["const"] == "1"
    assert wants_clean_settings(ENVIRONMENT)
