"""A pytest plugin with options and a fixture for the tests of all components."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the pytest options --image and --screenshots."""
    group = parser.getgroup("jupyterlabdemo")
    group.addoption("--image", help="test a container of this image instead of the checkout")
    group.addoption("--screenshots", type=Path, help="save screenshots in this folder, for example docs/images")


@pytest.fixture(scope="session")
def screenshots(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the option `--screenshots` names, or a temporary folder."""
    chosen: Path | None = request.config.getoption("--screenshots")
    return chosen or tmp_path_factory.mktemp("screenshots")
