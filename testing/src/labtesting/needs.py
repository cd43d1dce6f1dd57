"""Requirements of tests: the programs and services that the machine must have."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def skip_or_fail(what: str, how: str) -> NoReturn:
    """End the current test because a requirement is missing: the test fails in CI, and is skipped elsewhere.

    Parameters
    ----------
    what
        The missing requirement.
    how
        How a developer can install the requirement.
    """
    message = f"{what} is missing: {how}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def need_program(*names: str, how: str) -> Path:
    """Return the path of the first of these programs that is installed.

    If none of them is installed, the test is skipped, or fails in CI.
    """
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    skip_or_fail(names[0], how)
