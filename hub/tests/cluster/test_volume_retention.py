"""Tests of the CronJob `retain-volumes`, which protects the site's disks, and of the CronJob's permissions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from labtesting import cluster
from labtesting.cluster import LABS, NAMESPACE, KubectlError, get, kubectl, run_cronjob
from labtesting.hub_process import wait_until

from hub.tests.cluster.deployment import Deployment

ACCOUNT = "system:serviceaccount:jupyterlabdemo:retain-volumes"
CRONJOB = "retain-volumes"
# A reference to an owner that does not exist. The garbage collector would delete an object with this reference.
MISSING = {"apiVersion": "v1", "kind": "ConfigMap", "name": "missing", "uid": "00000000-0000-0000-0000-000000000001"}
# Name of a volume, and of its StorageClass. No StorageClass of this name exists.
LATE = "jupyterlabdemo-late-test"


def policy(volume: str) -> str:
    """Return the reclaim policy of a PersistentVolume."""
    return str(get("pv", volume)["spec"]["persistentVolumeReclaimPolicy"])


def set_policy(volume: str, policy: str, *as_account: str) -> None:
    """Set the reclaim policy of a PersistentVolume."""
    patch = json.dumps({"spec": {"persistentVolumeReclaimPolicy": policy}})
    kubectl("patch", "pv", volume, "--patch", patch, *as_account)


@pytest.fixture
def volume(deployment: Deployment) -> Iterator[str]:
    """Return the volume of the hub's claim, with the reclaim policy `Delete`.

    Most StorageClasses set this policy. The CronJob is suspended, so that it does not change the policy during a test.
    """
    suspend = ("patch", "cronjob", CRONJOB, "--namespace", NAMESPACE, "--patch")
    kubectl(*suspend, '{"spec": {"suspend": true}}')
    name = str(get("pvc", "hub")["spec"]["volumeName"])
    set_policy(name, "Delete")
    yield name
    kubectl(*suspend, '{"spec": {"suspend": false}}')


def test_a_new_volume_is_kept_when_its_claim_is_deleted(volume: str) -> None:
    (line,) = run_cronjob(CRONJOB).splitlines()
    found = json.loads(line)
    assert found["message"] == "set the reclaim policy of a volume to Retain"
    assert (found["hub.claim"], found["hub.volume"]) == (f"{NAMESPACE}/hub", volume)
    assert policy(volume) == "Retain"
    assert run_cronjob(CRONJOB) == ""


@pytest.fixture
def late_claim(deployment: Deployment) -> Iterator[dict[str, Any]]:
    """Create the claim `fileserver` without a volume. The deployment of these tests does not have this claim."""
    spec = {"storageClassName": LATE, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "fileserver", "namespace": NAMESPACE}
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    cluster.apply(claim)
    yield claim
    for item in (["pvc", "fileserver", "--namespace", NAMESPACE], ["pv", LATE]):
        if cluster.exists(item[0], item[1]):
            kubectl("annotate", *item, cluster.ALLOW_DELETION, "--overwrite")
        kubectl("delete", *item, "--ignore-not-found")


def test_a_volume_that_comes_late_is_kept(late_claim: dict[str, Any]) -> None:
    assert "fileserver" not in run_cronjob(CRONJOB)
    spec = {
        "storageClassName": LATE,
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
        "persistentVolumeReclaimPolicy": "Delete",
        "hostPath": {"path": "/none"},
    }
    cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": LATE}, "spec": spec})
    wait_until(lambda: get("pvc", late_claim["metadata"]["name"])["status"]["phase"] == "Bound", "the claim is bound")
    run_cronjob(CRONJOB)
    assert policy(LATE) == "Retain"


def test_a_volume_that_may_be_deleted_is_left_alone(volume: str) -> None:
    key, _, value = cluster.ALLOW_DELETION.partition("=")
    kubectl("annotate", "pv", volume, f"{key}={value}")
    try:
        assert run_cronjob(CRONJOB) == ""
        assert policy(volume) == "Delete"
    finally:
        kubectl("annotate", "pv", volume, f"{key}-")


def test_the_account_can_only_set_the_policy_of_these_volumes(volume: str) -> None:
    as_account = ("--as", ACCOUNT)
    other = "jupyterlabdemo-home"
    set_policy(other, "Delete")
    try:
        for name, wanted, message in (
            (volume, "Recycle", "this account can set the reclaim policy to Retain only"),
            (other, "Retain", "this account can change the volumes of the claims fileserver and hub only"),
        ):
            with pytest.raises(KubectlError, match=message):
                set_policy(name, wanted, *as_account)
        for patch in (
            {"spec": {"persistentVolumeReclaimPolicy": "Retain", "claimRef": {"name": "fileserver"}}},
            {"spec": {"persistentVolumeReclaimPolicy": "Retain", "capacity": {"storage": "5Gi"}}},
            {"spec": {"persistentVolumeReclaimPolicy": "Retain"}, "metadata": {"annotations": {"a": "b"}}},
            {"spec": {"persistentVolumeReclaimPolicy": "Retain"}, "metadata": {"ownerReferences": [MISSING]}},
        ):
            with pytest.raises(KubectlError, match="this account can change the reclaim policy only"):
                kubectl("patch", "pv", volume, "--patch", json.dumps(patch), *as_account)
    finally:
        set_policy(other, "Retain")
    set_policy(volume, "Retain", *as_account)
    assert policy(volume) == "Retain"


def test_the_account_may_do_nothing_else(deployment: Deployment) -> None:
    def may(*request: str) -> bool:
        try:
            return kubectl("auth", "can-i", *request, "--as", ACCOUNT).strip() == "yes"
        except KubectlError:
            return False

    assert may("get", "persistentvolumeclaims/hub", "--namespace", NAMESPACE)
    assert not may("list", "persistentvolumeclaims", "--namespace", NAMESPACE)
    assert not may("get", "persistentvolumeclaims/home", "--namespace", LABS)
    assert not may("get", "secrets/hub", "--namespace", NAMESPACE)
    for verb in ("list", "create", "delete", "update"):
        assert not may(verb, "persistentvolumes")
