"""One deployment of the whole system for all of its tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from labtesting.browser import open_browser
from labtesting.cluster import NAMESPACE, KubectlError, kubectl, need_cluster
from playwright.sync_api import Browser

from tests.system.deployment import DEPLOYMENTS, HOST, Deployment, deployed, surroundings


def said(deployment: str) -> str:
    """Give what a Deployment's pods have said."""
    try:
        return kubectl("logs", f"deployment/{deployment}", "--namespace", NAMESPACE, "--tail=-1", "--all-containers")
    except KubectlError as error:
        return str(error)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Deploy the system."""
    need_cluster()
    with surroundings(tmp_path_factory.mktemp("site")) as found, names(found.address), deployed(found):
        yield found
        for name in DEPLOYMENTS:
            print(f"--- {name}\n{said(name)}")  # noqa: T201  (a failure explains itself)


@contextmanager
def names(address: str) -> Iterator[None]:
    """Let this process find `HOST`, which no name server knows."""
    ask = socket.getaddrinfo

    def resolve(host: Any, *more: Any, **named: Any) -> Any:
        return ask(address if host in {HOST, HOST.encode()} else host, *more, **named)

    socket.getaddrinfo = resolve
    try:
        yield
    finally:
        socket.getaddrinfo = ask


@pytest.fixture(scope="session")
def browser(site: Deployment) -> Iterator[Browser]:
    """Give a Chromium that finds the site."""
    with open_browser(site.trusted, f"--host-resolver-rules=MAP {HOST} {site.address}") as browser:
        yield browser
