"""Tests of the policy that protects a site's data: the API server refuses to delete namespaces, claims and volumes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from labtesting import cluster
from labtesting.cluster import LABS, NAMESPACE, KubectlError, delete_data_policy, exists, get, kubectl
from labtesting.hub_process import wait_until

from admin.tests.configure import example
from admin.tests.configure.sample import SampleSite
from tests.manifests.manifest import find_alternatives, find_folders
from tools.components import ROOT

POLICY = ROOT / "hub/kubernetes/data-validatingadmissionpolicy.yaml"
BINDING = ROOT / "hub/kubernetes/data-validatingadmissionpolicybinding.yaml"
POLICIES = sorted((ROOT / "hub/kubernetes").glob("*validatingadmissionpolicy.yaml"))
CLAIMS = {name: ROOT / name / "kubernetes/persistentvolumeclaim.yaml" for name in ("fileserver", "hub")}
NAME = "jupyterlabdemo-data"
COMMAND = re.compile(r"To allow the deletion: (kubectl .+)$", re.MULTILINE)
# Name of a second namespace, and of a copy of the policy without a finalizer. A test deletes the policy and then the
# copy. When the copy is no longer in force, the API server has processed both deletions.
OTHER = "jupyterlabdemo-data-test"


def refusal(*arguments: str | Path) -> str:
    """Run `kubectl delete`, and return the error of kubectl, or an empty string if the deletion succeeds."""
    try:
        kubectl("delete", *arguments, "--wait=false")
    except KubectlError as error:
        return str(error)
    return ""


def is_refused(*what: str) -> bool:
    """Return whether the policy refuses a deletion. The function requests a dry run, which deletes nothing."""
    return f"'{NAME}'" in refusal(*what, "--dry-run=server")


def volume_of(claim: str) -> str:
    """Return the name of the volume of a claim, or an empty string if the claim is missing or is being deleted."""
    if not exists("pvc", claim):
        return ""
    found = get("pvc", claim)
    return "" if "deletionTimestamp" in found["metadata"] else str(found["spec"].get("volumeName", ""))


@pytest.fixture(autouse=True)
def volumes() -> Iterator[dict[str, str]]:
    """Apply the policy and the claims, wait until the policy is in force, and yield the volume of each claim."""
    kubectl("apply", *(f"--filename={file}" for file in (POLICY, BINDING, *CLAIMS.values())))
    for claim in CLAIMS:
        wait_until(lambda name=claim: volume_of(name), f"{claim} is bound")  # type: ignore[misc]
    wait_until(lambda: is_refused("namespace", NAMESPACE), "the policy is in force")
    yield {claim: volume_of(claim) for claim in CLAIMS}
    delete_data_policy()


def test_deleting_manifest_folders_keeps_the_data(volumes: dict[str, str], tmp_path: Path) -> None:
    site = SampleSite.make(tmp_path, example.with_defaults())
    site.configure()
    folders = [*find_folders(ROOT), *find_alternatives(ROOT), site.output]
    # Run each command twice, because an administrator may repeat a command after an error.
    for folder in [*folders, *folders]:
        output = refusal("--filename", folder, "--ignore-not-found")
        if any(folder.glob("*namespace.yaml")):
            assert f'namespaces "{NAMESPACE}" is forbidden' in output, folder
    assert {claim: volume_of(claim) for claim in CLAIMS} == volumes
    for name in (NAMESPACE, LABS):
        assert get("namespace", name)["status"]["phase"] == "Active"


DELETIONS = {
    "namespace": ["namespace", NAMESPACE],
    "namespace of the labs": ["namespace", LABS],
    "all namespaces of the project": ["namespace", "--selector", "app.kubernetes.io/part-of=jupyterlabdemo"],
    "claim of the homes": ["pvc", "fileserver", "--namespace", NAMESPACE],
    "claim of the hub": ["pvc", "hub", "--namespace", NAMESPACE],
    "all claims": ["pvc", "--all", "--namespace", NAMESPACE],
    "forced": ["pvc", "fileserver", "--namespace", NAMESPACE, "--force", "--grace-period=0"],
}


@pytest.mark.parametrize("arguments", DELETIONS.values(), ids=DELETIONS)
def test_a_deletion_is_refused(arguments: list[str], volumes: dict[str, str]) -> None:
    assert "docs/admin/uninstall.md" in refusal(*arguments)
    assert {claim: volume_of(claim) for claim in CLAIMS} == volumes
    assert get("namespace", NAMESPACE)["status"]["phase"] == "Active"


def test_collection_of_claims_is_not_deleted(volumes: dict[str, str]) -> None:
    """Check that the policy refuses a single request to delete all claims, which a controller may send.

    The test cannot use `kubectl delete --all`, which sends a separate request for each object.
    """
    with pytest.raises(KubectlError, match=NAME):
        kubectl("delete", "--raw", f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims")
    assert {claim: volume_of(claim) for claim in CLAIMS} == volumes


def test_a_claim_is_not_replaced(volumes: dict[str, str]) -> None:
    with pytest.raises(KubectlError, match=NAME):
        kubectl("replace", "--force", "--filename", CLAIMS["fileserver"])
    assert volume_of("fileserver") == volumes["fileserver"]


@pytest.mark.parametrize("claim", CLAIMS)
def test_volume_without_a_claim_is_not_deleted(claim: str, volumes: dict[str, str]) -> None:
    volume = volumes[claim]
    assert "docs/admin/uninstall.md" in refusal("pv", volume)
    kubectl("patch", "pv", volume, "--patch", '{"spec": {"persistentVolumeReclaimPolicy": "Retain"}}')
    allow(refusal("pvc", claim, "--namespace", NAMESPACE))
    kubectl("delete", "pvc", claim, "--namespace", NAMESPACE)
    wait_until(lambda: phase_of(volume) == "Released", "the volume is released")
    message = refusal("pv", volume)
    assert f"the persistentvolume {volume} contains" in message
    allow(message)
    cluster.delete_volume(volume)
    wait_until(lambda: not exists("pv", volume), "the volume is deleted")


def phase_of(volume: str) -> str:
    """Return the phase of a PersistentVolume, for example "Released"."""
    return str(get("pv", volume)["status"]["phase"])


def allow(message: str) -> None:
    """Run the command that an error message of the policy names. The command allows the deletion."""
    found = COMMAND.search(message)
    assert found, message
    kubectl(*found[1].split()[1:])


def test_the_command_in_the_error_allows_the_deletion() -> None:
    message = refusal("pvc", "hub", "--namespace", NAMESPACE)
    assert "the persistentvolumeclaim hub contains the database of the hub" in message
    allow(message)
    assert not is_refused("pvc", "hub", "--namespace", NAMESPACE)
    assert is_refused("pvc", "fileserver", "--namespace", NAMESPACE)
    kubectl("annotate", "pvc", "hub", "--namespace", NAMESPACE, "jupyterlabdemo.lsst.io/allow-delete-")
    assert is_refused("pvc", "hub", "--namespace", NAMESPACE)


def test_the_annotation_of_a_namespace_includes_its_claims() -> None:
    """Check that the annotation of a namespace allows the deletion of the namespace and of the claims in it.

    If the policy still protected the claims, Kubernetes would delete all other objects, and the namespace would stay
    `Terminating`.
    """
    message = refusal("namespace", NAMESPACE)
    assert f"the namespace {NAMESPACE} contains the homes of all users and the database of the hub" in message
    allow(message)
    try:
        assert not is_refused("namespace", NAMESPACE)
        assert not is_refused("pvc", "fileserver", "hub", "--namespace", NAMESPACE)
        assert is_refused("namespace", LABS)
    finally:
        kubectl("annotate", "namespace", NAMESPACE, "jupyterlabdemo.lsst.io/allow-delete-")


@pytest.mark.parametrize("value", ["false", "yes", ""])
def test_wrong_annotation_value_allows_no_deletion(value: str) -> None:
    kubectl("annotate", "pvc", "hub", "--namespace", NAMESPACE, f"jupyterlabdemo.lsst.io/allow-delete={value}")
    try:
        assert is_refused("pvc", "hub", "--namespace", NAMESPACE)
    finally:
        kubectl("annotate", "pvc", "hub", "--namespace", NAMESPACE, "jupyterlabdemo.lsst.io/allow-delete-")


def test_other_objects_can_be_deleted() -> None:
    with cluster.own_namespaces(OTHER):
        for namespace, name in ((NAMESPACE, "other"), (OTHER, "fileserver")):
            claim: dict[str, Any] = yaml.safe_load(CLAIMS["fileserver"].read_text())
            claim["metadata"] |= {"name": name, "namespace": namespace}
            cluster.apply(claim)
            assert refusal("pvc", name, "--namespace", namespace) == ""
        assert refusal("namespace", OTHER, "--dry-run=server") == ""


@pytest.mark.parametrize("reference", [{}, {"name": "fileserver"}, {"name": "hub", "namespace": OTHER}])
def test_volumes_of_others_are_deleted_as_usual(reference: dict[str, str]) -> None:
    claim = {"claimRef": reference} if reference else {}
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/none"}} | claim
    cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": OTHER}, "spec": spec})
    assert refusal("pv", OTHER) == ""
    wait_until(lambda: not exists("pv", OTHER), "the volume is deleted")


def test_the_garbage_collector_deletes_no_data(volumes: dict[str, str]) -> None:
    """The garbage collector deletes a claim with a missing owner only if the policy does not protect the claim."""
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "missing", "uid": "00000000-0000-0000-0000-000000000001"}
    other: dict[str, Any] = yaml.safe_load(CLAIMS["fileserver"].read_text())
    other["metadata"] |= {"name": "other", "ownerReferences": [owner]}
    set_owners("fileserver", [owner])
    try:
        cluster.apply(other)
        wait_until(lambda: not exists("pvc", "other"), "the garbage collector deletes a claim without an owner", 60)
        assert volume_of("fileserver") == volumes["fileserver"]
    finally:
        set_owners("fileserver", None)


def set_owners(claim: str, owners: list[dict[str, str]] | None) -> None:
    """Set or remove the owners of a claim."""
    patch = json.dumps({"metadata": {"ownerReferences": owners}})
    kubectl("patch", "pvc", claim, "--namespace", NAMESPACE, "--type=merge", "--patch", patch)


def test_no_volume_stays_without_its_disk(volumes: dict[str, str]) -> None:
    """If an administrator allows the deletion of a claim, Kubernetes also deletes a volume with the policy `Delete`."""
    kubectl("patch", "pv", volumes["hub"], "--patch", '{"spec": {"persistentVolumeReclaimPolicy": "Delete"}}')
    assert is_refused("pv", volumes["hub"])
    allow(refusal("pvc", "hub", "--namespace", NAMESPACE))
    kubectl("delete", "pvc", "hub", "--namespace", NAMESPACE)
    wait_until(lambda: not exists("pv", volumes["hub"]), "Kubernetes has deleted the volume", 60)


@pytest.mark.parametrize("file", POLICIES, ids=[file.stem for file in POLICIES])
def test_the_api_server_knows_the_fields_of_a_policy(file: Path) -> None:
    kubectl("apply", "--filename", file)
    name = yaml.safe_load(file.read_text())["metadata"]["name"]

    def find_checks() -> dict[str, Any]:
        status: dict[str, Any] = get("validatingadmissionpolicy", name).get("status", {})
        return status if "typeChecking" in status else {}

    assert wait_until(find_checks, "the API server has checked the types")["typeChecking"] == {}


def test_a_deleted_policy_stays_in_force() -> None:
    """Check that the finalizer keeps a deleted policy in force.

    The test deletes the policy, and then a copy without a finalizer. When the copy is no longer in force, the API
    server has processed both deletions.
    """
    with cluster.own_namespaces(OTHER):
        copies = [yaml.safe_load(file.read_text().replace(NAMESPACE, OTHER)) for file in (POLICY, BINDING)]
        for copy in copies:
            del copy["metadata"]["finalizers"]
            copy["metadata"]["labels"] = {}
        try:
            cluster.apply(*copies)
            wait_until(lambda: refusal("namespace", OTHER, "--dry-run=server"), "the copy is in force")
        finally:
            names = [f"{copy['kind']}/{copy['metadata']['name']}" for copy in copies]
            kubectl("delete", "--wait=false", "--filename", POLICY, "--filename", BINDING)
            kubectl("delete", *names)
        wait_until(lambda: not refusal("namespace", OTHER, "--dry-run=server"), "the copy is no longer in force")
    assert "deletionTimestamp" in get("validatingadmissionpolicy", NAME)["metadata"]
    assert is_refused("namespace", NAMESPACE)
    assert is_refused("pvc", "fileserver", "--namespace", NAMESPACE)
