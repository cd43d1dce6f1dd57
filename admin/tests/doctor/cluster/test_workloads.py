"""Tests of the doctor's findings about workloads and volumes that are not ready on a real cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme
from labtesting import cluster
from labtesting.cluster import LABS, NAMESPACE, kubectl
from labtesting.hub_process import wait_until

from admin.tests.doctor.cluster.conftest import call_doctor
from admin.tests.doctor.cluster.objects import config, issue, secret
from hub.tests.cluster.deployment import Deployment
from hub.tests.cluster.test_surviving import api_out_of_reach
from tools.components import ROOT


@pytest.mark.usefixtures("deployment")
def test_missing_image_is_reported() -> None:
    kubectl("set", "image", "deployment/proxy", "proxy=localhost:1/lsstsqre/jupyterlabdemo-hub:9.9.9", "-n", NAMESPACE)

    def is_reported() -> bool:
        failures = call_doctor("workloads").failed("workloads")
        return "Deployment proxy in jupyterlabdemo: 0 of 1 ready" in failures and "jupyterlabdemo-hub:9.9.9" in failures

    try:
        wait_until(is_reported, "the doctor names the image")
        report = call_doctor("images", "reach")
    finally:
        kubectl("apply", "--filename", ROOT / "hub/kubernetes/proxy-deployment.yaml")
        cluster.wait_for_rollout("proxy")
    assert "9.9.9 of jupyterlabdemo-hub" in report.failed("images")
    assert "a lab cannot reach the proxy" in report.failed("reach")


@pytest.mark.usefixtures("deployment")
def test_relay_without_its_broker_is_reported(authority: trustme.CA) -> None:
    folder = ROOT / "logstashrmq/kubernetes"
    settings = {"AMQP_HOST": "localhost", "AMQP_PORT": "1", "AMQP_USER": "logs", "AMQP_EXCHANGE": "logs"}
    stranger = issue(trustme.CA(), "filebeat")
    try:
        cluster.apply(
            config("logstashrmq", **settings),
            secret("logstashrmq", {"AMQP_PASSWORD": b"a-password"}),
            secret("logstashrmq-tls", issue(authority, "logstashrmq")),
            secret("filebeat-tls", stranger),
        )
        kubectl("apply", "--filename", folder)
        running = ["--for=jsonpath={.status.containerStatuses[0].started}=true", "--timeout=60s"]
        where = ["--selector", "app.kubernetes.io/component=logstashrmq", "--namespace", NAMESPACE]
        wait_until(lambda: len(cluster.get("pods", selector=where[1])) == 2, "the relay's pods exist", 30)
        kubectl("wait", "pod", *where, *running)
        report = call_doctor("broker", "logs-certificates", "workloads")
    finally:
        kubectl("delete", "--filename", folder / "deployment.yaml", "--ignore-not-found")
        kubectl("delete", "secret", "logstashrmq", "logstashrmq-tls", "filebeat-tls", "--namespace", NAMESPACE)
    assert "the relay cannot publish: localhost: TLS" in report.failed("broker")
    assert "not signed by ca.crt" in report.failed("logs-certificates")
    assert "Deployment logstashrmq in jupyterlabdemo: 0 of 2 ready" in report.failed("workloads")
    assert "a-password" not in json.dumps(report.findings)


def has_volume(claim: str) -> bool:
    return bool(cluster.get("pvc", claim, namespace=LABS)["status"].get("phase") == "Bound")


@contextmanager
def claim_without_a_class() -> Iterator[None]:
    """Replace the claim for project folders by one with an unknown StorageClass. Do not run labs in the block."""
    claim, volume = ("pvc", "project", "--namespace", LABS), "jupyterlabdemo-project"
    usual = cluster.get("pvc", "project", namespace=LABS)
    spec = {key: usual["spec"][key] for key in ("accessModes", "resources")} | {"storageClassName": "missing"}
    metadata = {"name": "project", "namespace": LABS, "labels": usual["metadata"]["labels"]}
    kubectl("delete", *claim)
    try:
        cluster.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
        yield
    finally:
        kubectl("delete", *claim, "--ignore-not-found")
        # The volume still refers to the UID of the deleted claim, so a new claim could not use the volume.
        kubectl("patch", "pv", volume, "--type=merge", "--patch", '{"spec": {"claimRef": {"uid": null}}}')
        file = "fileserver/alternatives/hostpath/shared-project-persistentvolumeclaim.yaml"
        kubectl("apply", "--filename", ROOT / file)
        wait_until(lambda: has_volume(claim[1]), "the claim has its volume again")


@pytest.mark.usefixtures("deployment")
def test_claim_with_a_missing_storage_class_is_reported() -> None:
    def is_reported() -> bool:
        failures = call_doctor("claims").failed("claims")
        return 'found Pending, wanted Bound: storageclass.storage.k8s.io "missing" not found' in failures

    with claim_without_a_class():
        wait_until(is_reported, "the doctor reports the reason")
    assert call_doctor("claims").failed("claims") == ""


@pytest.mark.usefixtures("deployment")
def test_volume_with_a_missing_csi_driver_is_reported() -> None:
    name = "jupyterlabdemo-doctor-test"
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": LABS, "name": "missing"},
        "csi": {"driver": "nfs.csi.k8s.io", "volumeHandle": name},
    }
    assert not cluster.exists("csidriver", "nfs.csi.k8s.io")
    cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    try:
        assert "which the cluster does not have: no lab starts" in call_doctor("csi-driver").failed("csi-driver")
    finally:
        kubectl("delete", "pv", name)


def test_hub_without_the_kubernetes_api_is_reported(deployment: Deployment) -> None:
    def is_reported() -> bool:
        return "the Kubernetes API has not answered the hub for" in call_doctor("hub").failed("hub")

    with api_out_of_reach():
        # Kill the hub, because open connections may survive a new policy.
        deployment.kill_hub()
        wait_until(deployment.is_up, "the hub's pages answer")
        wait_until(is_reported, "the doctor reports it", 200)
    wait_until(lambda: call_doctor("hub").failed("hub") == "", "the hub is healthy again")


@pytest.mark.usefixtures("deployment")
def test_missing_fileserver_is_reported() -> None:
    scale = ["scale", "deployment/fileserver", "--namespace", NAMESPACE]
    kubectl(*scale, "--replicas=0")
    try:
        wait_until(
            lambda: not cluster.get("pods", selector="app.kubernetes.io/component=fileserver"), "the pod is gone"
        )
        report = call_doctor("space", "homes", "workloads")
    finally:
        kubectl(*scale, "--replicas=1")
        cluster.wait_for_rollout("fileserver")
    assert report.messages("skipped") == [("space", "cannot read the metrics of the fileserver (see workloads)")]
    assert "Deployment fileserver in jupyterlabdemo is scaled to 0" in report.failed("workloads")
    assert "the fileserver does not answer the hub" in report.failed("homes")
