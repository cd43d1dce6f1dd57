"""Containers of the components' images on a Docker engine."""

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
        """Return the port of 127.0.0.1 on which a port of the container is published."""
        self.docker.reload()
        published = self.docker.ports[f"{inside}/tcp"]
        assert published, f"port {inside} is not published"
        return int(published[0]["HostPort"])

    @property
    def address(self) -> str:
        """The container's address on the Docker engine's bridge network."""
        self.docker.reload()
        return str(self.docker.attrs["NetworkSettings"]["IPAddress"])

    def log(self) -> str:
        """Return the container's log so far."""
        return str(self.docker.logs().decode(errors="replace"))

    def execute(self, *command: str, user: str = "") -> tuple[int, str]:
        """Run a command in the container, and return its exit status and output."""
        done = self.docker.exec_run(list(command), user=user)
        assert isinstance(done.output, bytes)
        assert done.exit_code is not None
        return done.exit_code, done.output.decode(errors="replace")

    def wait_for_page(self, url: str, timeout: float = 180) -> None:
        """Wait until a request for the URL has status 200.

        Raises
        ------
        AssertionError
            Raised if the container ends, or if the status is not 200 within `timeout` seconds. The message has the
            container's log.
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
            assert time.monotonic() < deadline, f"{url} did not answer within {timeout} s:\n{self.log()}"
            time.sleep(0.1)


def engine() -> docker.DockerClient:
    """Return a client of the Docker engine. If no engine answers, the test is skipped, or fails in CI."""
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
    """Run a container until the end of the block, then print its log and remove it.

    Parameters
    ----------
    command
        Arguments of the image's entry point.
    ports
        Ports of the container to publish on free ports of 127.0.0.1.
    options
        Further arguments of `docker.containers.run`.
    """
    published = {f"{port}/tcp": ("127.0.0.1", None) for port in ports or []}
    arguments: dict[str, Any] = {"command": list(command) or None, "ports": published, **options}
    running = engine().containers.run(image, detach=True, **arguments)
    container = Container(running)
    try:
        yield container
    finally:
        print(container.log())  # noqa: T201  (pytest shows the log if the test fails)
        running.remove(force=True, v=True)
