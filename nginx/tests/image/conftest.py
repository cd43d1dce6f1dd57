"""Fixtures that run a container of nginx's image in front of a real hub, which the demo (`nox -s demo`) also uses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labtesting.edge import Edge, run_edge
from labtesting.labclient import HubLogin

from tools.demo import USER, Hub, free_port
from tools.parts import ALONE, prepare


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    """Return the name of the nginx image under test, from the option `--image`."""
    return str(request.config.getoption("--image"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubLogin]:
    """Run the hub of the demo (`nox -s demo`), and yield its URL with a user's name and password."""
    hub = Hub(prepare(*ALONE), tmp_path_factory.mktemp("state"), free_port())
    try:
        hub.wait_until_ready()
        yield HubLogin(hub.url, USER, hub.password)
    finally:
        hub.stop()
        print(hub.log.read_text(errors="replace"))  # noqa: T201  (pytest shows it when a test fails)


@pytest.fixture(scope="module")
def front(demo: HubLogin, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Run a container of the nginx image in front of the demo's hub."""
    with run_edge(tmp_path_factory.mktemp("front") / "nginx", demo.url.removeprefix("http://"), image=image) as edge:
        yield edge
