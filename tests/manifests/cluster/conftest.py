"""The namespaces, as the components' manifests have them: what is applied dry goes nowhere without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from labtesting.cluster import kubectl, own_namespaces

from tools.components import ROOT


@pytest.fixture(scope="session", autouse=True)
def namespaces() -> Iterator[None]:
    """Make them."""
    with own_namespaces():
        for name in ("00-namespace", "labs-namespace"):
            kubectl("apply", "--filename", ROOT / f"hub/kubernetes/{name}.yaml")
        yield
