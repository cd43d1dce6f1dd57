"""Fixtures of the system tests: one deployment of the whole system for all tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from labtesting.browser import open_browser
from labtesting.cluster import NAMESPACE, KubectlError, kubectl, need_cluster
from playwright.sync_api import Browser

from tests.system.deployment import DEPLOYMENTS, HOST, Deployment, deploy, external_services


def pod_logs(deployment: str) -> str:
    """Return the logs of a Deployment's pods, or the error of kubectl."""
    try:
        return kubectl("logs", f"deployment/{deployment}", "--namespace", NAMESPACE, "--tail=-1", "--all-containers")
    except KubectlError as error:
        return str(error)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Deploy the whole system. After all tests, print the logs of its pods and delete it."""
    need_cluster()
    with (
        external_services(tmp_path_factory.mktemp("site")) as deployment,
        resolve_host(deployment.address),
        deploy(deployment),
    ):
        yield deployment
        for name in DEPLOYMENTS:
            print(f"--- {name}\n{pod_logs(name)}")  # noqa: T201  (pytest shows it for a failed test)


@contextmanager
def resolve_host(address: str) -> Iterator[None]:
    """Resolve `HOST` to this address in this process until the end of the block. DNS has no entry for `HOST`."""
    original = socket.getaddrinfo

    def resolve(host: Any, *more: Any, **named: Any) -> Any:
        return original(address if host in {HOST, HOST.encode()} else host, *more, **named)

    socket.getaddrinfo = resolve
    try:
        yield
    finally:
        socket.getaddrinfo = original


@pytest.fixture(scope="session")
def browser(site: Deployment) -> Iterator[Browser]:
    """Start a Chromium that resolves the site's host name and trusts its certificates."""
    with open_browser(site.trusted, f"--host-resolver-rules=MAP {HOST} {site.address}") as browser:
        yield browser
