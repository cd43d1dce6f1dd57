"""What a test needs from the machine: found, or said in one line how to get it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def skip_or_fail(what: str, how: str) -> NoReturn:
    """Fail in CI, where nothing may be missing; on a person's machine skip and say how to get it."""
    message = f"{what} is missing: {how}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def need_program(*names: str, how: str) -> Path:
    """Give the path of the first of these programs that is there."""
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    skip_or_fail(names[0], how)
