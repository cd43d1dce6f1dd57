"""Tests of the doctor's command line, and of its reports as text and JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from labadmin.doctor import probe_pod
from labadmin.doctor.catalogue import CHECKS
from labadmin.doctor.collector import EXPERIMENTS
from labadmin.doctor.findings import Finding, Status, Verdict, fail, ok
from labadmin.doctor.report import format_json, format_lines
from labadmin.objects import LABS

from admin.tests.doctor.site import Site
from tools.components import ROOT

REFUSED = (
    "E1123 11:27:56.1 memcache.go:265] couldn't get current server API group list\n"
    "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?\n"
)


def call(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the doctor with only this folder in its PATH."""
    command = [sys.executable, "-m", "labadmin", "doctor", *arguments]
    environ = os.environ | {"PATH": str(path)}
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)


def test_missing_kubectl_is_reported_with_a_fix(tmp_path: Path) -> None:
    done = call(tmp_path)
    assert done.returncode == 2
    assert "FAILED   api  found no kubectl on the PATH" in done.stdout
    assert "fix: install kubectl: https://kubernetes.io" in done.stdout


def test_unreachable_api_is_the_only_finding(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f"#!{sys.executable}\nraise SystemExit({REFUSED!r})\n")
    kubectl.chmod(0o755)
    done = call(tmp_path, "--json")
    (found,) = json.loads(done.stdout)
    assert (done.returncode, found["check"], found["status"]) == (2, "api", "failed")
    assert found["what"].endswith("does not answer: " + REFUSED.splitlines()[1])
    assert "KUBECONFIG" in found["fix"]


def test_unknown_check_lists_the_known_checks(tmp_path: Path) -> None:
    done = call(tmp_path, "--only", "everything")
    assert done.returncode == 2
    assert all(check.name in done.stderr for check in CHECKS)


def test_text_report_has_a_line_and_a_fix_for_each_finding() -> None:
    findings = [
        Finding("cluster", "api", ok("Kubernetes answers")),
        Finding("logs", "broker", fail("RabbitMQ does not answer", "start RabbitMQ")),
    ]
    assert list(format_lines(findings, 3.2)) == [
        "\ncluster",
        "  ok       api     Kubernetes answers",
        "\nlogs",
        "  FAILED   broker  RabbitMQ does not answer",
        "                   fix: start RabbitMQ",
        "\n1 ok, 0 warning, 1 FAILED, 0 skipped; 3 s",
    ]


def test_cluster_text_cannot_control_the_terminal() -> None:
    finding = Finding("cluster", "api", Verdict(Status.FAILED, "a\x1b[2Jb\nc", "d\re"))
    assert "\x1b" not in "".join(format_lines([finding], 0))
    assert json.loads(format_json([finding]))[0]["what"] == "a [2Jb c"


def test_experiments_are_used_and_checks_are_documented() -> None:
    assert {name for check in CHECKS for name in check.needs} == set(EXPERIMENTS)
    text = (ROOT / "docs/admin/doctor.md").read_text()
    assert [check.name for check in CHECKS if f"`{check.name}`" not in text] == []


def test_policies_but_not_the_hub_treat_the_probe_as_a_lab(tmp_path: Path) -> None:
    objects = Site(tmp_path).state().objects
    pod = probe_pod.build_pod("doctor-1", "an-image", objects)
    labels = pod["metadata"]["labels"]
    assert pod["metadata"]["namespace"] == LABS
    # hub/kubernetes/networkpolicy.yaml admits labs by this label. The hub manages only pods that also have the label
    # part-of.
    assert labels["app.kubernetes.io/component"] == "lab"
    assert labels["app.kubernetes.io/part-of"] != "jupyterlabdemo"
    tried = probe_pod.list_targets(objects)
    assert ["NFS", "fileserver.jupyterlabdemo", "2049"] in tried["shut"]
