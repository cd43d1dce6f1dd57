"""Fixtures for tests on a real cluster. The hub runs from its manifests and its image. Only GitHub is a fake."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trustme
from labtesting import cluster
from labtesting.browser import open_browser
from labtesting.github import FakeGitHub
from labtesting.registry import Registry
from playwright.sync_api import Browser

from hub.tests.cluster.deployment import Deployment, deploy, run_github
from hub.tests.cluster.objects import LAB_LABELS, ORPHAN, STRANGER, foreign_pod
from hub.tests.cluster.registry import serve_on_nodes


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return the certificate authority that signs the certificate of the fake GitHub."""
    return trustme.CA()


@pytest.fixture(scope="session")
def github(authority: trustme.CA) -> Iterator[FakeGitHub]:
    """Run a fake GitHub for the session."""
    cluster.need_cluster()
    with run_github(authority) as server:
        yield server


@pytest.fixture(scope="session")
def deployment(github: FakeGitHub, authority: trustme.CA) -> Iterator[Deployment]:
    """Deploy the hub, and create two pods in the labs' namespace that the hub has not created."""
    with deploy(github, authority) as deployed:
        cluster.apply(foreign_pod(STRANGER), foreign_pod(ORPHAN, **LAB_LABELS))
        yield deployed
        print(deployed.log())  # noqa: T201  (pytest shows the log if a test fails)


@pytest.fixture(scope="session")
def registry(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Run a container registry from which the cluster's nodes can pull images."""
    with serve_on_nodes(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium, and stop it after the last test of the module."""
    with open_browser() as chromium:
        yield chromium
