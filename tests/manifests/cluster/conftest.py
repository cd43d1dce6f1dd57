"""A fixture that creates the components' namespaces. A dry run of an object fails if its namespace is missing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labtesting.cluster import kubectl, own_namespaces

from tools.components import ROOT


@pytest.fixture(scope="session", autouse=True)
def namespaces() -> Iterator[None]:
    """Create the namespaces of the components and of the labs, from the manifests in hub/kubernetes."""
    with own_namespaces():
        for name in ("00-namespace", "labs-namespace"):
            kubectl("apply", "--filename", ROOT / f"hub/kubernetes/{name}.yaml")
        yield
