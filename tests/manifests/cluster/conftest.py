"""A fixture that creates the namespaces. In a dry run, the API server refuses an object whose namespace is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labtesting.cluster import kubectl, own_namespaces

from tools.components import ROOT


@pytest.fixture(scope="session", autouse=True)
def namespaces() -> Iterator[None]:
    """Create the namespaces from the hub's manifests."""
    with own_namespaces():
        for name in ("00-namespace", "labs-namespace"):
            kubectl("apply", "--filename", ROOT / f"hub/kubernetes/{name}.yaml")
        yield
