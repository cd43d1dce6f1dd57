"""Containers of our images on a real Docker engine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import docker
import httpx
from docker.errors import DockerException
from docker.models.containers import Container as DockerContainer

from labtesting.needs import skip_or_fail


@dataclass(frozen=True)
class Container:
    """A running container."""

    docker: DockerContainer

    def port(self, inside: int) -> int:
        """Give the port of 127.0.0.1 on which a port of the container answers."""
        self.docker.reload()
        published = self.docker.ports[f"{inside}/tcp"]
        assert published, f"port {inside} is not published"
        return int(published[0]["HostPort"])

    @property
    def address(self) -> str:
        """The address of the container on the engine's bridge."""
        self.docker.reload()
        return str(self.docker.attrs["NetworkSettings"]["IPAddress"])

    def log(self) -> str:
        """Give what it has printed so far."""
        return str(self.docker.logs().decode(errors="replace"))

    def execute(self, *command: str, user: str = "") -> tuple[int, str]:
        """Run a command in it; give its exit status and what it printed."""
        done = self.docker.exec_run(list(command), user=user)
        assert isinstance(done.output, bytes)
        assert done.exit_code is not None
        return done.exit_code, done.output.decode(errors="replace")

    def wait_for_page(self, url: str, timeout: float = 60) -> None:
        """Wait until a page answers 200.

        Raises
        ------
        AssertionError
            The container ended, or the page does not come; with the container's log.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                if httpx.get(url).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            self.docker.reload()
            assert self.docker.status == "running", f"the container ended:\n{self.log()}"
            assert time.monotonic() < deadline, f"no {url} within {timeout} s:\n{self.log()}"
            time.sleep(0.1)


def engine() -> docker.DockerClient:
    """Give the Docker engine; without one the test is skipped (fails in CI)."""
    try:
        return docker.from_env()
    except DockerException as error:
        skip_or_fail("a Docker engine", f"apt install docker.io ({error})")


@contextmanager
def run_container(
    image: str,
    *command: str,
    ports: list[int] | None = None,
    **options: Any,
) -> Iterator[Container]:
    """Start a container, with ports published on 127.0.0.1; it is removed at the end, its log shown."""
    published = {f"{port}/tcp": ("127.0.0.1", None) for port in ports or []}
    arguments: dict[str, Any] = {"command": list(command) or None, "ports": published, **options}
    running = engine().containers.run(image, detach=True, **arguments)
    container = Container(running)
    try:
        yield container
    finally:
        print(container.log())  # noqa: T201  (pytest shows it when the test fails)
        running.remove(force=True, v=True)
