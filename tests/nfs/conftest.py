"""Fixtures of the tests with NFS: one site with a small disk, and the labs of two users."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labtesting.cluster import need_cluster
from labtesting.second_node import cordoned, find_nfs_node

from tests.nfs.deployment import DEPLOYMENTS, Lab, deploy, start_labs
from tests.nfs.disk import small_disk
from tests.system.deployment import Deployment, external_services, pod_logs, resolve_host
from tools.components import version


@pytest.fixture(scope="session")
def node() -> Iterator[str]:
    """Return the name of a node that mounts NFS. Only the labs of these tests run on this node."""
    need_cluster()
    with find_nfs_node(f"lsstsqre/jupyterlabdemo:{version()}") as name, cordoned(name):
        yield name


@pytest.fixture(scope="session")
def site(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Deploy the site, and print the logs of its pods at the end."""
    assert node
    with (
        external_services(tmp_path_factory.mktemp("site")) as deployment,
        resolve_host(deployment.address),
        small_disk(tmp_path_factory.mktemp("disk")),
        deploy(deployment),
    ):
        yield deployment
        for name in DEPLOYMENTS:
            print(f"--- {name}\n{pod_logs(name)}")  # noqa: T201  (pytest shows it for a failed test)


@pytest.fixture(scope="session")
def labs(site: Deployment, node: str) -> list[Lab]:
    """Start the labs of two members of the same organization."""
    return start_labs(site, node, "nora", "omar")


@pytest.fixture(scope="session")
def lab(labs: list[Lab]) -> Lab:
    """Return the lab of the first user."""
    return labs[0]


@pytest.fixture(scope="session")
def other_lab(labs: list[Lab]) -> Lab:
    """Return the lab of the second user."""
    return labs[1]
