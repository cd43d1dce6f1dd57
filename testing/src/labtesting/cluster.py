"""Functions that use the Kubernetes cluster of KUBECONFIG through kubectl."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labtesting.needs import need_program, skip_or_fail

NAMESPACE = "jupyterlabdemo"
LABS = "jupyterlabdemo-labs"
# The cluster-scoped objects that the components' manifests create
CLUSTER_OBJECTS = (
    *("persistentvolume/jupyterlabdemo-home", "persistentvolume/jupyterlabdemo-project"),
    *("clusterrole/jupyterlabdemo-filebeat", "clusterrolebinding/jupyterlabdemo-filebeat"),
    *("clusterrole/jupyterlabdemo-retain-volumes", "clusterrolebinding/jupyterlabdemo-retain-volumes"),
    *("clusterrole/jupyterlabdemo-hub", "clusterrolebinding/jupyterlabdemo-hub"),
)
# Annotation of namespaces that a test has created. Without this annotation, a namespace belongs to a site, and tests
# must not delete it.
TEST_ANNOTATION = "jupyterlabdemo.test/made"
# Annotation that allows the deletion of an object. Without the annotation, the policy in hub/kubernetes protects the
# object.
ALLOW_DELETION = "jupyterlabdemo.lsst.io/allow-delete=true"
# Name of the annotation that Kubernetes adds to each volume that it creates for a claim
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"


class KubectlError(AssertionError):
    """A failed kubectl command. The message has the command and its output."""


def kubectl(*arguments: str | Path, stdin: str | None = None, timeout: float = 180) -> str:
    """Run kubectl, and return its output.

    Raises
    ------
    KubectlError
        Raised if the command fails.
    """
    command = ["kubectl", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise KubectlError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def need_cluster() -> None:
    """Check that a cluster answers. If none answers, the test is skipped, or fails in CI."""
    need_program("kubectl", how="https://kubernetes.io/docs/tasks/tools/")
    try:
        kubectl("get", "--raw", "/readyz", "--request-timeout=5s")
    except KubectlError as error:
        last_line = error.args[0].splitlines()[-1]
        skip_or_fail("a Kubernetes cluster", f"set KUBECONFIG, for example to the file of a kind cluster ({last_line})")


def get(kind: str, name: str = "", *, namespace: str = NAMESPACE, selector: str = "") -> Any:
    """Return the object with this kind and name. Without a name, return the list of all objects of this kind.

    Raises
    ------
    KubectlError
        Raised if no object has the name.
    """
    chosen = [name] if name else ["--selector", selector]
    result = json.loads(kubectl("get", kind, *chosen, "--namespace", namespace, "--output", "json"))
    return result if name else result["items"]


def exists(kind: str, name: str, *, namespace: str = NAMESPACE) -> bool:
    """Return whether an object with this kind and name exists."""
    arguments = ["get", kind, name, "--namespace", namespace, "--ignore-not-found", "--output", "name"]
    return bool(kubectl(*arguments).strip())


@contextmanager
def own_namespaces(*names: str) -> Iterator[None]:
    """Create empty namespaces, and delete them with their content at the end of the block.

    Namespaces from a killed test run are deleted first. Without names, the function creates the namespaces of the
    components and of the labs.

    Raises
    ------
    KubectlError
        Raised if one of the namespaces already exists and was not created by a test.
    """
    need_cluster()
    names = names or (NAMESPACE, LABS)
    for name in names:
        found = json.loads(kubectl("get", "namespace", name, "--ignore-not-found", "--output", "json") or "{}")
        ended = found.get("status", {}).get("phase") == "Terminating"
        if found and not ended and TEST_ANNOTATION not in found["metadata"].get("annotations", {}):
            raise KubectlError(
                f"the cluster has a namespace {name} that no test created. These tests would delete it: "
                "set KUBECONFIG to another cluster"
            )
    _delete_namespaces(names)
    try:
        for name in names:
            # Do not set the annotation with kubectl apply, because a later apply of a component's manifest would remove
            # the annotation.
            kubectl("create", "namespace", name)
            kubectl("annotate", "namespace", name, f"{TEST_ANNOTATION}=")
        yield
    finally:
        _delete_namespaces(names)


def _delete_namespaces(names: tuple[str, ...]) -> None:
    for name in names:
        if exists("namespace", name):
            kubectl("annotate", "namespace", name, ALLOW_DELETION, "--overwrite")
    kubectl("delete", "namespace", *names, "--ignore-not-found", timeout=240)
    _delete_volumes(names)
    if NAMESPACE in names:
        delete_data_policy()
        kubectl("delete", *CLUSTER_OBJECTS, "--ignore-not-found")


def _delete_volumes(names: tuple[str, ...]) -> None:
    """Let Kubernetes delete the volumes that it has created for claims in these namespaces."""
    for volume in get("persistentvolumes"):
        claim = volume["spec"].get("claimRef", {})
        if claim.get("namespace") in names and PROVISIONED_BY in volume["metadata"].get("annotations", {}):
            delete_volume(volume["metadata"]["name"])


def delete_volume(name: str) -> None:
    """Let Kubernetes delete a released volume and its disk.

    The deletion takes some seconds, for which this function does not wait.
    """
    key, _, value = ALLOW_DELETION.partition("=")
    patch = {"metadata": {"annotations": {key: value}}, "spec": {"persistentVolumeReclaimPolicy": "Delete"}}
    try:
        kubectl("patch", "persistentvolume", name, "--patch", json.dumps(patch))
    except KubectlError:
        if exists("persistentvolume", name):
            raise


def delete_data_policy() -> None:
    """Delete the policy that protects the data of a site, and the binding of the policy."""
    kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings"
    selector = ("--selector", f"app.kubernetes.io/part-of={NAMESPACE}")
    for name in kubectl("get", kinds, *selector, "--output", "name").split():
        kubectl("patch", name, "--type=merge", "--patch", '{"metadata": {"finalizers": null}}')
    kubectl("delete", kinds, *selector)


def apply(*objects: dict[str, Any]) -> None:
    """Apply Kubernetes objects with kubectl."""
    kubectl("apply", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def run_cronjob(name: str) -> str:
    """Run a CronJob of the components' namespace at once, wait for its end, and return its log.

    Raises
    ------
    KubectlError
        Raised if the job does not succeed within a minute.
    """
    job = f"{name}-test"
    kubectl("create", "job", job, f"--from=cronjob/{name}", "--namespace", NAMESPACE)
    try:
        kubectl("wait", f"job/{job}", "--for=condition=Complete", "--namespace", NAMESPACE, "--timeout=60s")
        return kubectl("logs", f"job/{job}", "--namespace", NAMESPACE)
    finally:
        kubectl("delete", "job", job, "--namespace", NAMESPACE)


def wait_for_kube_proxy() -> None:
    """Wait until kube-proxy has written its rules for Services whose pods have just become ready.

    kube-proxy writes two tables, one after the other. If a connection is opened between the two writes, its packets
    leave the node, and another host may accept the connection. A proxy would reuse this connection, and send later
    requests to the wrong host.
    """
    time.sleep(3)


def wait_for_rollout(deployment: str, timeout: float = 180) -> None:
    """Wait until a Deployment is rolled out: all its pods are updated and available.

    Raises
    ------
    KubectlError
        Raised after `timeout` seconds. The message has the namespace's pods and events, and the end of the Deployment's
        log.
    """
    arguments = ["--namespace", NAMESPACE, f"deployment/{deployment}"]
    try:
        kubectl("rollout", "status", *arguments, f"--timeout={timeout:.0f}s", timeout=timeout + 10)
    except KubectlError as error:
        outputs = [str(error)]
        for command in (["get", "pods", "-o", "wide"], ["get", "events"], ["logs", arguments[-1], "--tail=50"]):
            try:
                outputs.append(kubectl(*command, "--namespace", NAMESPACE))
            except KubectlError as failure:
                outputs.append(str(failure))
        raise KubectlError("\n".join(outputs)) from error
