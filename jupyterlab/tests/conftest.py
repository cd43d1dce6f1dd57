"""Fixtures: a hub with one user (the demo or, with --image, the image), and spawned labs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from labtesting.container import run_container
from labtesting.hub_process import free_ports, wait_until
from labtesting.hub_stub import run_hub_stub
from labtesting.labclient import HubLogin, LabClient, SpawnedLab
from labtesting.programs import find_programs
from lsstlab.hub_limits import STOP_SECONDS

from tools.demo import USER, Hub
from tools.parts import ALONE, prepare


@pytest.fixture(scope="session")
def hub(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubLogin]:
    """Start one hub with one user for all tests."""
    image = request.config.getoption("--image")
    start = hub_of_image(image) if image else hub_of_demo(tmp_path_factory.mktemp("state"))
    yield from start


def hub_of_demo(state: Path) -> Iterator[HubLogin]:
    """Start the demo's hub with a new state folder."""
    demo = Hub(prepare(*ALONE), state, free_ports(1)[0])
    try:
        demo.wait_until_ready()
        yield HubLogin(demo.url, USER, demo.password)
    finally:
        demo.stop()
        print(demo.log.read_text(errors="replace"))  # noqa: T201  (pytest shows it if a test fails)


def hub_of_image(image: str) -> Iterator[HubLogin]:
    """Start the image standalone, as the README shows, with a user and password from the environment."""
    login = {"LAB_USER": "vera", "LAB_PASSWORD": "a long enough one"}
    with run_container(image, environment=login, ports=[8000]) as container:
        url = f"http://127.0.0.1:{container.port(8000)}"
        container.wait_for_page(f"{url}/hub/login")
        yield HubLogin(url, login["LAB_USER"], login["LAB_PASSWORD"])


@pytest.fixture(scope="session")
def lab(hub: HubLogin) -> Iterator[LabClient]:
    """Return a client whose user has logged in and started a lab."""
    with LabClient(hub.url, hub.user) as client:
        client.log_in(hub.password).raise_for_status()
        client.spawn()
        yield client


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., SpawnedLab]]:
    """Return a function that starts the demo's lab as a hub does. Its arguments set environment variables."""
    program = prepare(*ALONE) / "lab" / "bin" / "lab"
    with ExitStack() as stack:
        hub = stack.enter_context(run_hub_stub("127.0.0.1"))

        def start(**environ: str) -> SpawnedLab:
            (port,) = free_ports(1)
            home = tmp_path / "home"
            home.mkdir(exist_ok=True)
            # Not in tmp_path, because the path of a Unix socket must be short.
            scratch = stack.enter_context(TemporaryDirectory(prefix="lab-"))
            variables = hub.environment("vera", port, "127.0.0.1") | {"HOME": str(home), "LAB_SCRATCH": scratch}
            variables |= {"JUPYTERHUB_ACTIVITY_INTERVAL": "1"} | environ
            process = stack.enter_context(run_lab(program, variables, tmp_path))
            wait_until(lambda: answers(hub.lab_url("127.0.0.1", "api", port=port)), "the lab answers")
            client = stack.enter_context(LabClient(f"http://127.0.0.1:{port}", "vera"))
            client.open_lab()
            return SpawnedLab(client, hub, process)

        yield start


@contextmanager
def run_lab(program: Path, environ: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a lab until the end of the block. If the lab then does not stop in time, print the stacks of its threads.

    At the end of a lab's container, Linux kills the programs that still run. Here this function does so.
    """
    log = folder / "lab.log"
    with log.open("w") as file:
        lab = subprocess.Popen(
            [program, "--allow-root"],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONFAULTHANDLER": "1"} | environ,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield lab
        finally:
            lab.terminate()
            try:
                lab.wait(STOP_SECONDS + 20)
            except subprocess.TimeoutExpired:
                lab.send_signal(signal.SIGABRT)
                lab.wait()
                raise
            finally:
                for pid in find_programs(environ["HOME"]):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                print(log.read_text(errors="replace"))  # noqa: T201  (pytest shows it if a test fails)


def answers(url: str) -> bool:
    """Return whether a page answers 200."""
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
