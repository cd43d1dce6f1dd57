"""A fixture for the tests of the fileserver: it runs labfiles on a new storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from labtesting.fileserver import Labfiles, run_labfiles


@pytest.fixture
def labfiles(tmp_path: Path) -> Iterator[Labfiles]:
    """Run the program `labfiles` on a new storage until the end of the test."""
    with run_labfiles(tmp_path) as running:
        yield running
