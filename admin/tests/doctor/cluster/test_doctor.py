"""The doctor, called for a deployment that something is wrong with, on a real cluster."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from labtesting import cluster
from labtesting.cluster import LABS, NAMESPACE, KubectlError, kubectl
from labtesting.hub_process import wait_until

from admin.tests.doctor.cluster.conftest import call_doctor, command
from hub.tests.cluster.conftest import Deployment, groups_policy
from hub.tests.cluster.test_surviving import api_out_of_reach
from tools.components import ROOT

pytestmark = pytest.mark.timeout(300)
SELECTOR = "app.kubernetes.io/name=doctor"


def secret(name: str, data: dict[str, bytes]) -> dict[str, Any]:
    stored = {key: base64.b64encode(value).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "data": stored}


def config(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data}


@contextmanager
def patched(
    kind: str, name: str, patch: dict[str, Any], back: dict[str, Any], namespace: str = NAMESPACE
) -> Iterator[None]:
    """Change an object for a while."""
    where = ["patch", kind, name, "--namespace", namespace, "--type", "merge", "--patch"]
    kubectl(*where, json.dumps(patch))
    try:
        yield
    finally:
        kubectl(*where, json.dumps(back))


def issue(authority: trustme.CA, name: str, ends: timedelta = timedelta(days=90)) -> dict[str, bytes]:
    made = authority.issue_cert(name, not_after=datetime.now(UTC) + ends)
    certificate = b"".join(blob.bytes() for blob in made.cert_chain_pems)
    return {"tls.crt": certificate, "tls.key": made.private_key_pem.bytes(), "ca.crt": authority.cert_pem.bytes()}


def probes() -> list[str]:
    return [one["metadata"]["name"] for one in cluster.get("pods", namespace=LABS, selector=SELECTOR)]


def test_of_a_deployment_that_is_well_nothing_is_said_but_what_was_left_out(deployment: Deployment) -> None:
    began = time.monotonic()
    report = call_doctor()
    assert report.said("failed") == [("objects", "nginx is not deployed")]
    # What leans on nginx, on NFS and on the forwarder
    skipped = {check for check, _ in report.said("skipped")}
    assert skipped == {"objects", "csi-driver", "nfs", "certificate", "page", "logs-certificates", "broker"}
    assert {check for check, _ in report.said("warning")} <= {"space"}
    assert report.status == 1
    assert time.monotonic() - began < 40
    wait_until(lambda: not probes(), "the probe is gone", 20)


def test_the_hub_does_not_take_the_probe_for_a_lab(deployment: Deployment) -> None:
    call_doctor("policy")
    assert "doctor-" not in deployment.log()


@pytest.mark.usefixtures("deployment")
def test_the_probe_goes_when_the_doctor_is_interrupted() -> None:
    nodes = [one["metadata"]["name"] for one in cluster.get("nodes")]
    kubectl("cordon", *nodes)  # no node takes it: the doctor waits
    # What runs in the background of a shell has it ignore the signal, and hands that on.
    interruptible = ["env", "--default-signal=INT", *command("--only=policy")]
    doctor = subprocess.Popen(interruptible, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: bool(probes()), "the probe is there", 20)
    finally:
        doctor.send_signal(signal.SIGINT)
        kubectl("uncordon", *nodes)
    assert doctor.wait(30) == 130
    wait_until(lambda: not probes(), "the probe is gone", 20)


def test_a_client_secret_that_github_does_not_know(deployment: Deployment) -> None:
    world = deployment.github.world
    usual = world.app
    world.app = replace(usual, client_secret="renewed-at-github")
    try:
        report = call_doctor("github")
    finally:
        world.app = usual
    assert "nobody can log in -> make a new client secret" in report.failed("github")
    assert usual.client_secret not in json.dumps(report.findings)


def test_an_organization_that_was_renamed(deployment: Deployment) -> None:
    found = deployment.github.world.find_organization("lsst-sqre")
    assert found is not None
    found.login = "rubin-sqre"
    try:
        assert "GitHub has no organization lsst-sqre" in call_doctor("github").failed("github")
    finally:
        found.login = "lsst-sqre"


def test_a_callback_url_that_the_app_does_not_have(deployment: Deployment) -> None:
    world = deployment.github.world
    usual = world.app
    world.app = replace(usual, callback="https://elsewhere.example/hub/oauth_callback")
    try:
        assert "has another callback URL" in call_doctor("github").failed("github")
    finally:
        world.app = usual


@pytest.mark.usefixtures("deployment")
def test_a_secret_without_its_key_and_one_that_differs() -> None:
    stored = cluster.get("secret", "fileserver")["data"]["FILESERVER_TOKEN"]
    back = {"data": {"FILESERVER_TOKEN": stored}}
    with patched("secret", "fileserver", {"data": {"FILESERVER_TOKEN": None}}, back):
        assert "Secret fileserver: FILESERVER_TOKEN missing" in call_doctor("settings").failed("settings")
    with patched("secret", "fileserver", {"data": {"FILESERVER_TOKEN": "b3RoZXI="}}, back):
        report = call_doctor("tokens")
    assert "different FILESERVER_TOKEN" in report.failed("tokens")
    assert base64.b64decode(stored).decode() not in json.dumps(report.findings)


@pytest.mark.usefixtures("deployment")
def test_an_expired_certificate(authority: trustme.CA) -> None:
    cluster.apply(secret("nginx-tls", issue(authority, "127.0.0.1", timedelta(days=-2))))
    try:
        assert "Secret nginx-tls: the certificate expired on" in call_doctor("certificate").failed("certificate")
    finally:
        kubectl("delete", "secret", "nginx-tls", "--namespace", NAMESPACE)


@pytest.mark.usefixtures("deployment")
def test_labs_without_their_network_policy() -> None:
    kubectl("delete", "networkpolicy", "labs", "--namespace", LABS)
    try:
        report = call_doctor("objects", "policy")
    finally:
        kubectl("apply", "--filename", ROOT / "hub/kubernetes/labs-networkpolicy.yaml")
    assert "NetworkPolicy labs in jupyterlabdemo-labs is missing" in report.failed("objects")
    assert "a lab reaches the API of Kubernetes" in report.failed("policy")
    assert "kubectl apply -f hub/kubernetes" in report.failed("policy")


@pytest.mark.usefixtures("deployment")
def test_labs_whose_namespace_takes_anything() -> None:
    key = "pod-security.kubernetes.io/enforce"
    change, back = ({"metadata": {"labels": {key: value}}} for value in ("privileged", "restricted"))
    with patched("namespace", LABS, change, back):
        said = call_doctor("pod-security").failed("pod-security")
    assert f"found the label {key}=privileged, wanted restricted" in said
    assert "would take a privileged pod" in said


@pytest.mark.usefixtures("deployment")
def test_labs_whose_namespace_is_full() -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": LABS}}
    cluster.apply(quota | {"spec": {"hard": {"pods": "0"}}})

    def counts() -> bool:
        return bool(cluster.get("resourcequota", "none", namespace=LABS).get("status", {}).get("hard"))

    try:
        wait_until(counts, "the quota counts", 30)
        report = call_doctor("probe", "policy")
    finally:
        kubectl("delete", "resourcequota", "none", "--namespace", LABS)
    assert "exceeded quota" in report.failed("probe")
    assert report.said("skipped") == [("policy", "the probe did not run (probe)")]


@pytest.mark.usefixtures("deployment")
def test_an_image_that_is_not_to_be_had() -> None:
    kubectl("set", "image", "deployment/proxy", "proxy=localhost:1/lsstsqre/jupyterlabdemo-hub:9.9.9", "-n", NAMESPACE)

    def told() -> bool:
        said = call_doctor("workloads").failed("workloads")
        return "Deployment proxy in jupyterlabdemo: 0 of 1 ready" in said and "jupyterlabdemo-hub:9.9.9" in said

    try:
        wait_until(told, "the doctor names the image")
        report = call_doctor("images", "reach")
    finally:
        kubectl("apply", "--filename", ROOT / "hub/kubernetes/proxy-deployment.yaml")
        cluster.roll_out("proxy")
    assert "9.9.9 of jupyterlabdemo-hub" in report.failed("images")
    assert "a lab does not reach the proxy" in report.failed("reach")


@pytest.mark.usefixtures("deployment")
def test_a_setting_that_is_missing_and_what_the_hub_says_of_it() -> None:
    usual = cluster.get("configmap", "hub")["data"]["GITHUB_CLIENT_ID"]
    restart = ["rollout", "restart", "deployment/hub", "--namespace", NAMESPACE]

    def told() -> bool:
        said = call_doctor("workloads").failed("workloads")
        return "hub ended with: " in said and "GITHUB_CLIENT_ID" in said

    with patched("configmap", "hub", {"data": {"GITHUB_CLIENT_ID": None}}, {"data": {"GITHUB_CLIENT_ID": usual}}):
        kubectl(*restart)
        wait_until(told, "the doctor knows what the hub said", 90)
        report = call_doctor("settings")
    kubectl(*restart)
    cluster.roll_out("hub", 120)
    assert "ConfigMap hub: GITHUB_CLIENT_ID missing or empty" in report.failed("settings")


def test_an_api_that_is_away(tmp_path: Path) -> None:
    cluster.need_cluster()
    file = tmp_path / "config"
    kubectl("config", "set-cluster", "away", "--server=https://127.0.0.1:1", "--kubeconfig", file)
    kubectl("config", "set-credentials", "somebody", "--token=a-token", "--kubeconfig", file)
    kubectl("config", "set-context", "away", "--cluster=away", "--user=somebody", "--kubeconfig", file)
    kubectl("config", "use-context", "away", "--kubeconfig", file)
    report = call_doctor(KUBECONFIG=str(file))
    assert report.status == 2
    assert "does not answer: The connection to the server 127.0.0.1:1 was refused" in report.failed("api")


@pytest.mark.usefixtures("deployment")
def test_a_relay_whose_broker_is_away(authority: trustme.CA) -> None:
    folder = ROOT / "logstashrmq/kubernetes"
    told = {"AMQP_HOST": "localhost", "AMQP_PORT": "1", "AMQP_USER": "logs", "AMQP_EXCHANGE": "logs"}
    stranger = issue(trustme.CA(), "filebeat")
    try:
        cluster.apply(
            config("logstashrmq", **told),
            secret("logstashrmq", {"AMQP_PASSWORD": b"a-password"}),
            secret("logstashrmq-tls", issue(authority, "logstashrmq")),
            secret("filebeat-tls", stranger),
        )
        kubectl("apply", "--filename", folder)
        running = ["--for=jsonpath={.status.containerStatuses[0].started}=true", "--timeout=60s"]
        where = ["--selector", "app.kubernetes.io/component=logstashrmq", "--namespace", NAMESPACE]
        wait_until(lambda: len(cluster.get("pods", selector=where[1])) == 2, "the relay's pods are there", 30)
        kubectl("wait", "pod", *where, *running)
        report = call_doctor("broker", "logs-certificates", "workloads")
    finally:
        kubectl("delete", "--filename", folder / "deployment.yaml", "--ignore-not-found")
        kubectl("delete", "secret", "logstashrmq", "logstashrmq-tls", "filebeat-tls", "--namespace", NAMESPACE)
    assert "the relay cannot publish: localhost: TLS" in report.failed("broker")
    assert "not signed by ca.crt" in report.failed("logs-certificates")
    assert "Deployment logstashrmq in jupyterlabdemo: 0 of 2 ready" in report.failed("workloads")
    assert "a-password" not in json.dumps(report.findings)


@pytest.mark.usefixtures("deployment")
def test_a_callback_url_of_another_form_or_host() -> None:
    usual = cluster.get("configmap", "hub")["data"]["OAUTH_CALLBACK_URL"]
    for url, says in ((f"{usual}s", "wanted https://<your host>/hub/oauth_callback"), (usual, "in NGINX_SERVER_NAME")):
        cluster.apply(config("nginx", NGINX_SERVER_NAME="lab.example.org"))
        try:
            change, back = ({"data": {"OAUTH_CALLBACK_URL": one}} for one in (url, usual))
            with patched("configmap", "hub", change, back):
                assert says in call_doctor("callback").failed("callback")
        finally:
            kubectl("delete", "configmap", "nginx", "--namespace", NAMESPACE)


@pytest.mark.usefixtures("deployment")
def test_a_policy_of_groups_that_is_not_what_the_nodes_know() -> None:
    usual = groups_policy()
    # Where a node knows it, nothing can fail.
    other, status, says = {
        "Merge": ("Strict", "failed", "found LAB_GROUPS_POLICY Strict, which these nodes do not know"),
        "Strict": ("Merge", "warning", "found LAB_GROUPS_POLICY Merge, wanted Strict"),
    }[usual]
    change, back = ({"data": {"LAB_GROUPS_POLICY": one}} for one in (other, usual))
    with patched("configmap", "hub", change, back):
        said = call_doctor("groups-policy").said(status)
    assert says in dict(said)["groups-policy"]


def has_volume(claim: str) -> bool:
    return bool(cluster.get("pvc", claim, namespace=LABS)["status"].get("phase") == "Bound")


@contextmanager
def claim_without_a_class() -> Iterator[None]:
    """Have the labs' claim of the projects name a class that nobody has; no lab mounts it meanwhile."""
    claim, volume = ("pvc", "project", "--namespace", LABS), "jupyterlabdemo-project"
    usual = cluster.get("pvc", "project", namespace=LABS)
    spec = {key: usual["spec"][key] for key in ("accessModes", "resources")} | {"storageClassName": "nobodys"}
    metadata = {"name": "project", "namespace": LABS, "labels": usual["metadata"]["labels"]}
    kubectl("delete", *claim)
    try:
        cluster.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec})
        yield
    finally:
        kubectl("delete", *claim, "--ignore-not-found")
        # The volume waits for the claim that is gone: of its name, and its uid.
        kubectl("patch", "pv", volume, "--type=merge", "--patch", '{"spec": {"claimRef": {"uid": null}}}')
        file = "fileserver/alternatives/hostpath/shared-project-persistentvolumeclaim.yaml"
        kubectl("apply", "--filename", ROOT / file)
        wait_until(lambda: has_volume(claim[1]), "the claim has its volume again")


@pytest.mark.usefixtures("deployment")
def test_a_claim_whose_class_nobody_has() -> None:
    def told() -> bool:
        said = call_doctor("claims").failed("claims")
        return 'found Pending, wanted Bound: storageclass.storage.k8s.io "nobodys" not found' in said

    with claim_without_a_class():
        wait_until(told, "the doctor knows why")
    assert call_doctor("claims").failed("claims") == ""


@pytest.mark.usefixtures("deployment")
def test_a_volume_of_a_driver_that_the_cluster_does_not_have() -> None:
    name = "jupyterlabdemo-doctor-test"
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": LABS, "name": "nobodys"},
        "csi": {"driver": "nfs.csi.k8s.io", "volumeHandle": name},
    }
    assert not cluster.exists("csidriver", "nfs.csi.k8s.io")
    cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec})
    try:
        assert "which the cluster does not have: no lab starts" in call_doctor("csi-driver").failed("csi-driver")
    finally:
        kubectl("delete", "pv", name)


@pytest.mark.usefixtures("deployment")
def test_labs_that_may_not_ask_for_names() -> None:
    file = ROOT / "hub/kubernetes/labs-networkpolicy.yaml"
    policy: dict[str, Any] = yaml.safe_load(file.read_text())
    rules = policy["spec"]["egress"]
    policy["spec"]["egress"] = [rule for rule in rules if 53 not in [port["port"] for port in rule.get("ports", [])]]
    assert len(policy["spec"]["egress"]) == len(rules) - 1

    def told() -> bool:
        report = call_doctor("probe", "dns")
        assert report.failed("probe") == ""
        return "a lab cannot resolve hub.jupyterlabdemo: " in report.failed("dns")

    cluster.apply(policy)
    try:
        # The network plugin may not have heard yet.
        wait_until(told, "the doctor says so", 90)
    finally:
        kubectl("apply", "--filename", file)


def test_a_hub_that_kubernetes_does_not_answer(deployment: Deployment) -> None:
    def told() -> bool:
        return "the API of Kubernetes has not answered the hub for" in call_doctor("hub").failed("hub")

    with api_out_of_reach():
        # Connections that are open may outlive a policy.
        deployment.kill_hub()
        wait_until(deployment.is_up, "the hub's pages answer all the same")
        wait_until(told, "the doctor says so", 200)
    wait_until(lambda: call_doctor("hub").failed("hub") == "", "the hub is well again")


@pytest.mark.usefixtures("deployment")
def test_a_fileserver_that_is_away() -> None:
    scale = ["scale", "deployment/fileserver", "--namespace", NAMESPACE]
    kubectl(*scale, "--replicas=0")
    try:
        wait_until(lambda: not cluster.get("pods", selector="app.kubernetes.io/component=fileserver"), "it is gone")
        report = call_doctor("space", "homes", "workloads")
    finally:
        kubectl(*scale, "--replicas=1")
        cluster.roll_out("fileserver")
    assert report.said("skipped") == [("space", "the fileserver cannot be asked (workloads)")]
    assert "Deployment fileserver in jupyterlabdemo is scaled to 0" in report.failed("workloads")
    assert "the fileserver answers the hub nothing" in report.failed("homes")


@pytest.mark.usefixtures("deployment")
def test_someone_who_may_not_look(tmp_path: Path) -> None:
    viewer = "system:serviceaccount:jupyterlabdemo:hub"
    with pytest.raises(KubectlError):
        kubectl("get", "secrets", "--namespace", NAMESPACE, "--as", viewer)
    config_of_viewer = json.loads(kubectl("config", "view", "--raw", "--minify", "--output", "json"))
    config_of_viewer["users"][0]["user"]["as"] = viewer
    # kubectl reads JSON, too.
    file = tmp_path / "viewer.json"
    file.write_text(json.dumps(config_of_viewer))
    report = call_doctor("api", KUBECONFIG=str(file))
    assert report.status == 1
    assert "cannot read" in report.failed("api")
    assert "forbidden" in report.failed("api").lower()
