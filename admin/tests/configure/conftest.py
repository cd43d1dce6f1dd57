"""A fixture with a new site for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from admin.tests.configure.sample import LOGS, SMALL, SampleSite


@pytest.fixture
def site(tmp_path: Path) -> SampleSite:
    """Return a site with logs."""
    return SampleSite.make(tmp_path, SMALL + LOGS)
