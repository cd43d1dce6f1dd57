"""The hub on a real cluster: its manifests as they are, its image, a GitHub of our own, labs that are pods."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trustme
from labtesting import cluster
from labtesting.github import FakeGitHub

from hub.tests.cluster.deployment import Deployment, deploy, run_github
from hub.tests.cluster.objects import LIKE_A_LAB, ORPHAN, STRANGER, nobodys_pod


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return the authority that signs GitHub's certificate."""
    return trustme.CA()


@pytest.fixture(scope="session")
def github(authority: trustme.CA) -> Iterator[FakeGitHub]:
    """Run a GitHub for the session."""
    cluster.need_cluster()
    with run_github(authority) as server:
        yield server


@pytest.fixture(scope="session")
def deployment(github: FakeGitHub, authority: trustme.CA) -> Iterator[Deployment]:
    """Deploy the hub, beside two pods that it did not create."""
    with deploy(github, authority) as found:
        cluster.apply(nobodys_pod(STRANGER), nobodys_pod(ORPHAN, **LIKE_A_LAB))
        yield found
        print(found.log())  # noqa: T201  (a failure explains itself)
