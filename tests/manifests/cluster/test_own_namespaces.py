"""Tests of the function `own_namespaces` on a cluster that already has a namespace with the requested name."""

from __future__ import annotations

import pytest
from labtesting.cluster import KubectlError, exists, kubectl, own_namespaces

NAME = "jupyterlabdemo-own-namespaces-test"


def test_existing_namespace_is_not_changed() -> None:
    kubectl("create", "namespace", NAME)
    try:
        with pytest.raises(KubectlError, match=f"a namespace {NAME} that no test created"), own_namespaces(NAME):
            pass
        assert exists("namespace", NAME)
    finally:
        kubectl("delete", "namespace", NAME)


def test_leftovers_of_a_killed_run_are_deleted_first() -> None:
    with own_namespaces(NAME):
        kubectl("create", "configmap", "left", "--namespace", NAME)
        with own_namespaces(NAME):
            assert not exists("configmap", "left", namespace=NAME)
    assert not exists("namespace", NAME)
