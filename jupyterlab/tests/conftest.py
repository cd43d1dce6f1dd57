"""Fixtures that start a standalone lab, and labs as a hub spawns them.

The standalone lab is the demo, or with the option `--image` a container of the image.
"""

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
    """Start a standalone lab's hub, which all tests of the session use. Yield its URL, user name and password."""
    image = request.config.getoption("--image")
    start = hub_of_image(image) if image else hub_of_demo(tmp_path_factory.mktemp("state"))
    yield from start


def hub_of_demo(state: Path) -> Iterator[HubLogin]:
    """Start the hub of the demo (`nox -s demo`) with an empty state folder. Yield its URL, user name and password."""
    demo = Hub(prepare(*ALONE), state, free_ports(1)[0])
    try:
        demo.wait_until_ready()
        yield HubLogin(demo.url, USER, demo.password)
    finally:
        demo.stop()
        print(demo.log.read_text(errors="replace"))  # noqa: T201  (pytest shows it if a test fails)


def hub_of_image(image: str) -> Iterator[HubLogin]:
    """Start a standalone container of the image. Yield the URL, the user name and the password of its hub."""
    login = {"LAB_USER": "vera", "LAB_PASSWORD": "a long enough one"}
    with run_container(image, environment=login, ports=[8000]) as container:
        url = f"http://127.0.0.1:{container.port(8000)}"
        container.wait_for_page(f"{url}/hub/login")
        yield HubLogin(url, login["LAB_USER"], login["LAB_PASSWORD"])


@pytest.fixture(scope="session")
def lab(hub: HubLogin) -> Iterator[LabClient]:
    """Log in to the hub and start the user's lab. Yield an HTTP client of the logged-in user."""
    with LabClient(hub.url, hub.user) as client:
        client.log_in(hub.password).raise_for_status()
        client.spawn()
        yield client


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., SpawnedLab]]:
    """Yield a function that starts a lab as a hub spawns it. The function's arguments set environment variables.

    The labs connect to a small test hub, which stores their reports.
    """
    program = prepare(*ALONE) / "lab" / "bin" / "lab"
    with ExitStack() as stack:
        hub = stack.enter_context(run_hub_stub("127.0.0.1"))

        def start(**environ: str) -> SpawnedLab:
            (port,) = free_ports(1)
            home = tmp_path / "home"
            home.mkdir(exist_ok=True)
            # The scratch folder is not in tmp_path, because the path of a Unix socket in the folder must be short.
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
    """Run the program `lab` until the end of the `with` block, and print its log.

    If the lab does not stop in time after SIGTERM, it prints the stacks of its threads, and the test fails. At the end,
    the function kills programs of the lab that still run. In a pod, Linux kills such programs.
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
    """Return whether a request for this URL gets an answer with status 200."""
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
