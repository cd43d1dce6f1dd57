"""Tests that uninstall a site and deploy it again, that recover the data of a deleted site, and that delete all data.

Each test starts from the state that the previous test left. The commands are those of docs/admin/uninstall.md.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from labtesting.cluster import LABS, NAMESPACE, TEST_ANNOTATION, exists, get, kubectl
from labtesting.handbook import read_commands, run_commands
from labtesting.hub_process import wait_until

from tests.system.deployment import DEPLOYMENTS, ROOT, Deployment, apply_site

PAGE = ROOT / "docs/admin/uninstall.md"
CLAIMS = ("fileserver", "hub")
USER = "rosalind"
WRITE = "import os; open('kept', 'w').write('all data'); os.sync()"
# All namespaced kinds of the components, because `kubectl get all` lists only some kinds.
KINDS = (
    "deployments,daemonsets,replicasets,cronjobs,jobs,pods,services,secrets,configmaps,networkpolicies,roles,"
    "rolebindings,serviceaccounts,poddisruptionbudgets,horizontalpodautoscalers,persistentvolumeclaims"
)
CLUSTER_KINDS = "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings"


def uninstall(*options: str) -> str:
    """Run `labadmin uninstall` with these options, and return the output of the command."""
    command = [sys.executable, "-m", "labadmin", "uninstall", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def names(kinds: str, *options: str) -> set[str]:
    """Return the objects of these kinds, each in the form "kind/name"."""
    return set(kubectl("get", kinds, "--output", "name", *options).split())


def volumes() -> dict[str, str]:
    """Return the name of the volume of each claim that contains data."""
    return {claim: str(get("pvc", claim)["spec"]["volumeName"]) for claim in CLAIMS}


def bring_back(site: Deployment) -> None:
    """Deploy an uninstalled site again.

    Mark its namespaces as namespaces of the tests, so that the tests may delete them.
    """
    apply_site(site)
    kubectl("annotate", "namespace", NAMESPACE, LABS, f"{TEST_ANNOTATION}=", "--overwrite")


def run_in_lab(site: Deployment, code: str) -> str:
    """Log in, start a lab, run code in the lab and return the output. The lab keeps running afterwards."""
    visitor = site.visit(USER)
    visitor.spawn(USER, image="recommended", size="small")
    wait_until(lambda: visitor.reaches_lab(USER), "the lab answers")
    with site.client(visitor).kernel("python3") as kernel:
        return str(kernel.execute(code).stdout)


def test_uninstall_without_yes_deletes_nothing(site: Deployment) -> None:
    site.member(USER)
    run_in_lab(site, WRITE)
    output = uninstall()
    # Labs of earlier tests may still run, so the number of labs differs.
    assert re.search(r"It deletes:\n  [1-9]\d* running labs\n  Deployment hub in jupyterlabdemo\n", output)
    for claim, volume in volumes().items():
        assert f"PersistentVolumeClaim {claim} in {NAMESPACE}: " in output.partition("It keeps:")[2]
        assert volume in output
    assert names("deployments", "--namespace", NAMESPACE) == {f"deployment.apps/{name}" for name in DEPLOYMENTS}


@pytest.mark.usefixtures("site")
def test_an_uninstalled_site_leaves_only_its_data() -> None:
    before = volumes()
    output = uninstall("--yes")
    assert "is uninstalled. These objects stay:" in output
    assert names(KINDS, "--namespace", NAMESPACE) == {
        *(f"persistentvolumeclaim/{claim}" for claim in CLAIMS),
        "serviceaccount/default",
        "configmap/kube-root-ca.crt",
    }
    assert not exists("namespace", LABS)
    policies = ("validatingadmissionpolicy", "validatingadmissionpolicybinding")
    assert names(CLUSTER_KINDS, "--selector", f"app.kubernetes.io/part-of={NAMESPACE}") == {
        f"{kind}.admissionregistration.k8s.io/jupyterlabdemo-data" for kind in policies
    }
    assert not exists("pv", "jupyterlabdemo-home")
    assert volumes() == before
    for volume in before.values():
        assert get("pv", volume)["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert "has no site. These objects stay:" in uninstall("--yes")


def test_reinstalled_site_has_its_data(site: Deployment) -> None:
    before = volumes()
    bring_back(site)
    assert volumes() == before
    assert run_in_lab(site, "print(open('kept').read())") == "all data\n"


def test_a_deleted_namespace_is_recovered(site: Deployment, tmp_path: Path) -> None:
    before = volumes()
    uninstall("--yes")
    kubectl("annotate", "namespace", NAMESPACE, "jupyterlabdemo.lsst.io/allow-delete=true")
    kubectl("delete", "namespace", NAMESPACE)
    show, _, reserve = read_commands(PAGE, "Recover a deleted claim")
    rows = [line.split() for line in run_commands(show, tmp_path).splitlines()]
    for claim, volume in before.items():
        assert [volume, "Released", claim] in rows
        run_commands(reserve.replace("VOLUME", volume), tmp_path)
    bring_back(site)
    assert volumes() == before
    assert run_in_lab(site, "print(open('kept').read())") == "all data\n"


@pytest.mark.usefixtures("site")
def test_documented_commands_delete_all_data(tmp_path: Path) -> None:
    before = volumes()
    uninstall("--yes")
    delete_data, show, delete_policy = read_commands(PAGE, "Delete the data")
    run_commands(delete_data, tmp_path)
    assert not exists("namespace", NAMESPACE)
    wait_until(lambda: not set(before.values()) & set(run_commands(show, tmp_path).split()), "the volumes are gone")
    run_commands(delete_policy, tmp_path)
    left = json.loads(kubectl("get", CLUSTER_KINDS, "--output", "json"))["items"]
    assert [item["metadata"]["name"] for item in left if item["metadata"]["name"].startswith(NAMESPACE)] == []
