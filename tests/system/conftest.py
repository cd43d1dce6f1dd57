"""Fixtures of the system tests: one deployment of the whole system for all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labtesting.browser import open_browser
from labtesting.cluster import need_cluster
from playwright.sync_api import Browser

from tests.system.deployment import DEPLOYMENTS, HOST, Deployment, deploy, external_services, pod_logs, resolve_host


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


@pytest.fixture(scope="session")
def browser(site: Deployment) -> Iterator[Browser]:
    """Start a Chromium that resolves the site's host name and trusts its certificates."""
    with open_browser(site.trusted, f"--host-resolver-rules=MAP {HOST} {site.address}") as browser:
        yield browser
