"""The hub that the conformance suite runs against: the demo's, or with --image the image's, alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from labtesting.container import run_container
from labtesting.labclient import LabClient, LoneHub

from tools.demo import USER, Hub, free_port
from tools.parts import ALONE, prepare


@pytest.fixture(scope="session")
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneHub]:
    """Start a hub with one user, for the whole session."""
    image = request.config.getoption("--image")
    start = hub_of_image(image) if image else hub_of_demo(tmp_path_factory.mktemp("state"))
    yield from start


def hub_of_demo(state: Path) -> Iterator[LoneHub]:
    """Start the demo's hub, with a state of its own."""
    demo = Hub(prepare(*ALONE), state, free_port())
    try:
        demo.wait_until_ready()
        yield LoneHub(demo.url, USER, demo.password)
    finally:
        demo.stop()
        print(demo.log.read_text(errors="replace"))  # noqa: T201  (a failure explains itself)


def hub_of_image(image: str) -> Iterator[LoneHub]:
    """Start the image alone, as the README says, with a user and password from the environment."""
    login = {"LAB_USER": "vera", "LAB_PASSWORD": "a long enough one"}
    with run_container(image, environment=login, ports=[8000]) as container:
        url = f"http://127.0.0.1:{container.port(8000)}"
        container.wait_for_page(f"{url}/hub/login")
        yield LoneHub(url, login["LAB_USER"], login["LAB_PASSWORD"])


@pytest.fixture(scope="session")
def lab(hub: LoneHub) -> Iterator[LabClient]:
    """Give a client that is logged in and whose lab runs."""
    with LabClient(hub.url, hub.user) as client:
        client.log_in(hub.password).raise_for_status()
        client.spawn()
        yield client
