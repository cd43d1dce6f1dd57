"""Tests of the doctor on a real cluster: its report, its probe pod, and the permissions that it needs."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from labtesting import cluster
from labtesting.cluster import NAMESPACE, KubectlError, kubectl
from labtesting.hub_process import wait_until

from admin.tests.doctor.cluster.conftest import call_doctor, command
from admin.tests.doctor.cluster.objects import probes
from hub.tests.cluster.deployment import Deployment
from tools.components import ROOT


def test_healthy_deployment_fails_only_without_nginx(deployment: Deployment) -> None:
    report = call_doctor()
    assert report.messages("failed") == [("objects", "nginx is not deployed")]
    # The checks that depend on nginx, on NFS and on the relay
    skipped = {check for check, _ in report.messages("skipped")}
    assert skipped == {"objects", "csi-driver", "nfs", "certificate", "page", "logs-certificates", "broker"}
    assert {check for check, _ in report.messages("warning")} <= {"space"}
    assert report.status == 1
    wait_until(lambda: not probes(), "the probe is gone")


def test_hub_does_not_treat_the_probe_as_a_lab(deployment: Deployment) -> None:
    call_doctor("policy")
    assert "doctor-" not in deployment.log()


@pytest.mark.usefixtures("deployment")
def test_interrupted_doctor_deletes_its_probe() -> None:
    nodes = [node["metadata"]["name"] for node in cluster.get("nodes")]
    kubectl("cordon", *nodes)  # no node accepts the probe, so the doctor waits
    # If pytest runs in the background of a shell, pytest and its child processes ignore SIGINT.
    interruptible = ["env", "--default-signal=INT", *command("--only=policy")]
    doctor = subprocess.Popen(interruptible, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: bool(probes()), "the probe exists")
    finally:
        doctor.send_signal(signal.SIGINT)
        kubectl("uncordon", *nodes)
    assert doctor.wait(180) == 130
    wait_until(lambda: not probes(), "the probe is gone")


def test_unreachable_api_is_reported(tmp_path: Path) -> None:
    cluster.need_cluster()
    file = tmp_path / "config"
    kubectl("config", "set-cluster", "unreachable", "--server=https://127.0.0.1:1", "--kubeconfig", file)
    kubectl("config", "set-credentials", "viewer", "--token=a-token", "--kubeconfig", file)
    kubectl("config", "set-context", "unreachable", "--cluster=unreachable", "--user=viewer", "--kubeconfig", file)
    kubectl("config", "use-context", "unreachable", "--kubeconfig", file)
    report = call_doctor(KUBECONFIG=str(file))
    assert report.status == 2
    assert "does not answer: The connection to the server 127.0.0.1:1 was refused" in report.failed("api")


@pytest.mark.usefixtures("deployment")
def test_missing_read_permission_is_reported(tmp_path: Path) -> None:
    viewer = "system:serviceaccount:jupyterlabdemo:hub"
    with pytest.raises(KubectlError):
        kubectl("get", "secrets", "--namespace", NAMESPACE, "--as", viewer)
    config_of_viewer = json.loads(kubectl("config", "view", "--raw", "--minify", "--output", "json"))
    config_of_viewer["users"][0]["user"]["as"] = viewer
    # kubectl also accepts a configuration file in JSON.
    file = tmp_path / "viewer.json"
    file.write_text(json.dumps(config_of_viewer))
    report = call_doctor("api", KUBECONFIG=str(file))
    assert report.status == 1
    assert "cannot read" in report.failed("api")
    assert "forbidden" in report.failed("api").lower()
