"""Requirements of tests: programs and services of the machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def skip_or_fail(what: str, how: str) -> NoReturn:
    """Fail the test in CI, and skip it elsewhere, because a requirement is missing.

    Parameters
    ----------
    what
        The missing requirement.
    how
        How a developer can install it.
    """
    message = f"{what} is missing: {how}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def need_program(*names: str, how: str) -> Path:
    """Return the path of the first installed program. If none is installed, the test is skipped, or fails in CI."""
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    skip_or_fail(names[0], how)
