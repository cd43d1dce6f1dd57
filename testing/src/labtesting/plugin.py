"""Options that every component's tests understand."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --image and --screenshots."""
    group = parser.getgroup("jupyterlabdemo")
    group.addoption("--image", help="run against a container of this image, not against the checkout")
    group.addoption("--screenshots", type=Path, help="keep screenshots in this folder (docs/images)")


@pytest.fixture(scope="session")
def screenshots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder for screenshots: the one asked for, or one that is thrown away."""
    chosen: Path | None = request.config.getoption("--screenshots")
    return chosen or tmp_path_factory.mktemp("screenshots")
