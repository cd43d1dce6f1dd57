"""Fixtures that run nginx in front of fake servers: the nginx of the checkout, or with `--image` a container."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial

import pytest
from labtesting.edge import Edge, collect_static, run_edge

from nginx.tests.upstream import Upstream, run_upstream

RunEdge = Callable[..., AbstractContextManager[Edge]]


@pytest.fixture(scope="session")
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RunEdge:
    """Return a function that runs nginx in front of a server until the end of a `with` block.

    Its arguments are a folder for nginx's files, and the address `host:port` of the server.
    """
    image = request.config.getoption("--image")
    static = None if image else collect_static(tmp_path_factory.mktemp("static"))
    return partial(run_edge, image=image, static=static)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """Run a fake HTTP server that stores the requests that nginx sends."""
    with run_upstream() as server:
        yield server


@pytest.fixture(scope="module")
def edge(run: RunEdge, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Run nginx in front of the fake HTTP server of the fixture `upstream`."""
    with run(tmp_path_factory.mktemp("edge") / "nginx", upstream.address) as running:
        yield running
