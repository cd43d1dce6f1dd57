"""Tests of the unchanged manifests on a real cluster. Linux's NFS client connects through the Service."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from labtesting.cluster import (
    LABS,
    NAMESPACE,
    KubectlError,
    apply,
    exists,
    get,
    kubectl,
    own_namespaces,
    wait_for_rollout,
)
from labtesting.fileserver import TOKEN
from labtesting.handbook import read_commands, run_commands
from labtesting.hub_process import wait_until
from labtesting.needs import need_program
from labtesting.nfs import run_on_client

from tools.components import ROOT, image_name, version

FOLDER = Path(__file__).parents[2] / "kubernetes"
IN_TREE = Path(__file__).parents[2] / "alternatives/in-tree-nfs/apply"
HOST_PATH = Path(__file__).parents[2] / "alternatives/hostpath"
RESTORE = Path(__file__).parents[2] / "alternatives/restore"
OURS = "app.kubernetes.io/component=fileserver"
HUB = {"app.kubernetes.io/name": "jupyterhub", "app.kubernetes.io/component": "hub"}
LAB = {"app.kubernetes.io/name": "jupyterlab", "app.kubernetes.io/component": "lab"}
PYTHON = "/opt/labfiles/bin/python"
REQUEST = """
import sys, urllib.error, urllib.request
request = urllib.request.Request(
    "http://fileserver:8080/v1/" + sys.argv[1], method="PUT", headers={"Authorization": "Bearer " + sys.argv[2]}
)
try:
    with urllib.request.urlopen(request, timeout=5) as response:
        print(response.status, response.read().decode().strip())
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode().strip())
except (urllib.error.URLError, TimeoutError) as error:
    print("no connection:", error)
"""


def secret() -> dict[str, Any]:
    """Return the manifest of the Secret with the token that the hub and the fileserver share."""
    metadata = {"name": "fileserver", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"FILESERVER_TOKEN": TOKEN}}


def volumes() -> list[Path]:
    """Return the paths of the manifests for the volumes and claims that labs mount."""
    return sorted(FOLDER.glob("shared-*.yaml"))


@pytest.fixture(scope="module", autouse=True)
def deployment() -> Iterator[None]:
    """Apply the manifests and the Secret as the README describes, and delete them after the tests."""
    with own_namespaces():
        kubectl("apply", "--filename", FOLDER)
        apply(secret())
        wait_for_rollout("fileserver", 90)
        yield


def is_bound(claim: str) -> bool:
    """Return whether a claim of the labs is bound to a volume."""
    return bool(get("pvc", claim, namespace=LABS)["status"]["phase"] == "Bound")


def request_folder(name: str, labels: dict[str, str], path: str) -> str:
    """Start a pod with these labels that requests a folder from labfiles, and return the pod's output."""
    container = {
        "name": "test",
        "image": f"{image_name('fileserver')}:{version()}",
        "imagePullPolicy": "IfNotPresent",
        "command": [PYTHON, "-c", REQUEST, path, TOKEN],
    }
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    spec = {"restartPolicy": "Never", "containers": [container]}
    apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    try:
        wait_until(lambda: get("pod", name)["status"].get("phase") in {"Succeeded", "Failed"}, f"{name} ends")
        return kubectl("logs", name, "--namespace", NAMESPACE).strip()
    finally:
        kubectl("delete", "pod", name, "--namespace", NAMESPACE, "--wait=false")


def server_pod() -> str:
    """Return the name of the only fileserver pod that is not being deleted."""
    (pod,) = [pod for pod in get("pod", selector=OURS) if "deletionTimestamp" not in pod["metadata"]]
    return str(pod["metadata"]["name"])


def execute(*command: str, container: str = "server") -> str:
    """Run a command in a container of the fileserver's pod, and return the command's output."""
    return kubectl("exec", server_pod(), "--container", container, "--namespace", NAMESPACE, "--", *command)


def test_second_apply_changes_nothing() -> None:
    lines = kubectl("apply", "--filename", FOLDER).splitlines()
    assert len(lines) == len(list(FOLDER.glob("*.yaml")))
    assert [line for line in lines if not line.endswith(" unchanged")] == []


def test_pod_has_only_the_expected_capabilities() -> None:
    (pod,) = get("pod", selector=OURS)
    assert all(status["ready"] for status in pod["status"]["containerStatuses"])
    for container, held in (("server", "cf"), ("labfiles", "b")):
        status = execute("/bin/cat", "/proc/1/status", container=container)
        capabilities = {
            line.split()[1].lstrip("0") for line in status.splitlines() if line.startswith(("CapEff", "CapBnd"))
        }
        assert capabilities == {held}
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status


def test_the_labs_claims_are_bound_to_the_exports() -> None:
    for name in ("home", "project"):
        wait_until(partial(is_bound, name), f"{name} is bound")
        claim = get("pvc", name, namespace=LABS)
        volume = json.loads(kubectl("get", "pv", claim["spec"]["volumeName"], "--output", "json"))["spec"]
        assert volume["csi"]["volumeAttributes"] == {
            "server": "fileserver.jupyterlabdemo.svc.cluster.local",
            "share": f"/{name}",
        }


def test_only_the_hub_can_create_folders() -> None:
    assert request_folder("test-hub", HUB, "projects/7000") == '201 {"path": "/project/7000", "made": true}'
    assert request_folder("test-lab", LAB, "projects/7001").startswith("no connection:")
    assert (
        execute("/usr/bin/stat", "-c", "%n %u:%g %a", "/storage/project/7000") == "/storage/project/7000 0:7000 2770\n"
    )
    assert "7001" not in execute("/bin/ls", "/storage/project")


WRITE = "echo one > /mnt/5000/kept && sync /mnt/5000/kept && cat /mnt/5000/kept"
READ = "cat /mnt/5000/kept && echo two >> /mnt/5000/kept"
AS_USER = ("setpriv", "--reuid=5000", "--regid=5000", "--clear-groups", "bash", "-c")


def test_a_new_pod_serves_the_data_to_the_linux_client(tmp_path: Path) -> None:
    assert request_folder("test-hub-home", HUB, "homes/5000").startswith("201 ")
    export = f"{get('service', 'fileserver')['spec']['clusterIP']}:/home"
    with run_on_client(export, *AS_USER, WRITE, log=tmp_path / "first") as client:
        assert client.finish() == "one\n"
    old, start = server_pod(), time.monotonic()
    kubectl("delete", "pod", old, "--namespace", NAMESPACE)
    wait_for_rollout("fileserver", 90)
    print(f"a new pod was ready after {time.monotonic() - start:.0f} s")  # noqa: T201
    assert server_pod() != old
    with run_on_client(export, *AS_USER, READ, log=tmp_path / "second") as client:
        assert client.finish() == "one\n"
    assert execute("/bin/cat", "/storage/home/5000/kept") == "one\ntwo\n"


STORAGE_PAGE = ROOT / "docs/admin/storage.md"


def follow(commands: str, folder: Path) -> str:
    """Run commands of docs/admin/storage.md in a folder with a symbolic link to the repository's manifests."""
    if not (link := folder / "fileserver").exists():
        link.symlink_to(ROOT / "fileserver")
    return run_commands(commands, folder)


LIST = ("find", "/storage/home", "/storage/project", "-mindepth", "1", "-printf", "%P %U:%G %m %s %T@\n")


def test_a_backup_is_restored_on_another_disk(tmp_path: Path) -> None:
    """The test runs the commands of docs/admin/storage.md."""
    before = sorted(execute(*LIST).splitlines())
    assert len(before) == 3, "wanted a home, a file in it and a project folder"
    need_program("zstd", how="apt install zstd")
    back_up, *_ = read_commands(STORAGE_PAGE, "Back up and restore")
    (restore,) = read_commands(STORAGE_PAGE, "Restore all files")
    _, show_policy, delete_claim, _, delete_disk = read_commands(STORAGE_PAGE, "Move to another disk")
    follow(back_up, tmp_path)
    old = str(get("pvc", "fileserver")["spec"]["volumeName"])
    # On a site, the CronJob of hub/kubernetes sets this reclaim policy.
    kubectl("patch", "pv", old, "--patch", '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}')
    assert follow(show_policy, tmp_path) == "Retain"
    follow(delete_claim, tmp_path)
    try:
        kubectl("apply", "--filename", FOLDER)
        wait_for_rollout("fileserver", 90)
        assert get("pvc", "fileserver")["spec"]["volumeName"] != old
        assert execute(*LIST) == ""
        follow(restore, tmp_path)
        assert sorted(execute(*LIST).splitlines()) == before
        export = f"{get('service', 'fileserver')['spec']['clusterIP']}:/home"
        with run_on_client(export, *AS_USER, READ, log=tmp_path / "log") as client:
            assert client.finish() == "one\ntwo\n"
        with pytest.raises(AssertionError, match="the disk has files"):
            follow(restore, tmp_path)
        assert get("pv", old)["status"]["phase"] == "Released"
    finally:
        kubectl("delete", "--filename", RESTORE, "--ignore-not-found")
        follow(f"volume={old}\n{delete_disk}", tmp_path)
    wait_until(lambda: not exists("pv", old), "Kubernetes has deleted the old disk")


def test_a_file_is_restored_beside_the_files_of_the_user(tmp_path: Path) -> None:
    """The test runs the commands of docs/admin/storage.md."""
    need_program("zstd", how="apt install zstd")
    back_up, *_ = read_commands(STORAGE_PAGE, "Back up and restore")
    (restore,) = read_commands(STORAGE_PAGE, "Restore files of one home or project folder")
    follow(back_up, tmp_path)
    kept = execute("/bin/cat", "/storage/home/5000/kept")
    export = f"{get('service', 'fileserver')['spec']['clusterIP']}:/home"
    change = "cd /mnt/5000 && echo newer > kept && sync kept && cat kept"
    with run_on_client(export, *AS_USER, change, log=tmp_path / "change") as client:
        assert client.finish() == "newer\n"
    output = follow(restore.replace("home/583231 notebooks/survey.ipynb data", "home/5000 kept"), tmp_path)
    assert output.startswith("restored 1 files to /home/5000/restored-")
    name = output.split("/")[-1].strip()
    move = f"cd /mnt/5000 && cat kept && cat {name}/kept && mv {name}/kept kept && rmdir {name} && ls"
    with run_on_client(export, *AS_USER, move, log=tmp_path / "move") as client:
        assert client.finish() == f"newer\n{kept}kept\n"


def test_in_tree_alternative_uses_the_service_address() -> None:
    """Check that the in-tree alternative replaces the name of the Service with the Service's address.

    Kubernetes refuses changes of PersistentVolumes. So the alternative can be applied only after the existing
    PersistentVolumes are deleted.
    """
    with pytest.raises(KubectlError, match=r"spec\.persistentvolumesource"):
        run_alternative()
    for file in volumes():
        kubectl("delete", "--filename", file, "--wait=false")
    for name in ("home", "project"):
        kubectl("wait", "pv", f"jupyterlabdemo-{name}", "--for=delete", "--timeout=60s")
    run_alternative()
    lines = run_alternative().splitlines()
    assert [line for line in lines if not line.endswith(" unchanged")] == []
    address = get("service", "fileserver")["spec"]["clusterIP"]
    for name in ("home", "project"):
        volume = json.loads(kubectl("get", "pv", f"jupyterlabdemo-{name}", "--output", "json"))["spec"]
        assert volume["nfs"] == {"server": address, "path": f"/{name}"}
        wait_until(partial(is_bound, name), f"{name} is bound")


def run_alternative() -> str:
    """Apply `alternatives/in-tree-nfs`, and return the output of kubectl. Raise a KubectlError if a command fails."""
    done = subprocess.run([IN_TREE], env=os.environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise KubectlError(done.stdout + done.stderr)
    return done.stdout


def test_single_node_alternative_creates_folders() -> None:
    kubectl("delete", "--filename", FOLDER, "--selector", OURS, "--ignore-not-found")
    try:
        kubectl("apply", "--filename", HOST_PATH)
        wait_for_rollout("fileserver", 60)
        assert [
            line for line in kubectl("apply", "--filename", HOST_PATH).splitlines() if "unchanged" not in line
        ] == []
        for name in ("home", "project"):
            wait_until(partial(is_bound, name), f"{name} is bound")
        # No user has this id. The folder is on the node's disk. If the folder is left from a failed earlier run, the
        # status is 200 instead of 201.
        assert request_folder("test-hub", HUB, "homes/2147483000").startswith("20")
        kubectl("exec", "deployment/fileserver", "-n", NAMESPACE, "--", "/bin/rmdir", "/storage/home/2147483000")
    finally:
        kubectl("delete", "--filename", HOST_PATH, "--selector", OURS, "--ignore-not-found")
