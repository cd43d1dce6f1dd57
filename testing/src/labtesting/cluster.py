"""A real Kubernetes cluster, which KUBECONFIG names, by way of kubectl."""

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
# What our manifests make outside of every namespace
OUTSIDE = (
    *("persistentvolume/jupyterlabdemo-home", "persistentvolume/jupyterlabdemo-project"),
    *("clusterrole/jupyterlabdemo-filebeat", "clusterrolebinding/jupyterlabdemo-filebeat"),
)
# On each namespace that a test has made, so that what a run left that was killed is told from a site.
MADE = "jupyterlabdemo.test/made"


class KubectlError(AssertionError):
    """What was asked of the cluster failed; the message holds the command and what it said."""


def kubectl(*arguments: str | Path, stdin: str | None = None, timeout: float = 120) -> str:
    """Run kubectl; give what it printed.

    Raises
    ------
    KubectlError
        It failed.
    """
    command = ["kubectl", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode:
        raise KubectlError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def need_cluster() -> None:
    """Make sure that there is a cluster; without one the test is skipped (fails in CI)."""
    need_program("kubectl", how="https://kubernetes.io/docs/tasks/tools/")
    try:
        kubectl("get", "--raw", "/readyz", "--request-timeout=5s")
    except KubectlError as error:
        skip_or_fail(
            "a Kubernetes cluster", f"set KUBECONFIG, for example to kind's ({error.args[0].splitlines()[-1]})"
        )


def get(kind: str, name: str = "", *, namespace: str = NAMESPACE, selector: str = "") -> Any:
    """Give an object, or without a name the list of its kind.

    Raises
    ------
    KubectlError
        There is no such object.
    """
    chosen = [name] if name else ["--selector", selector]
    found = json.loads(kubectl("get", kind, *chosen, "--namespace", namespace, "--output", "json"))
    return found if name else found["items"]


def exists(kind: str, name: str, *, namespace: str = NAMESPACE) -> bool:
    """Tell whether there is such an object."""
    arguments = ["get", kind, name, "--namespace", namespace, "--ignore-not-found", "--output", "name"]
    return bool(kubectl(*arguments).strip())


@contextmanager
def own_namespaces(*names: str) -> Iterator[None]:
    """Have namespaces, empty ones, until the end of the block; then they go with all that is in them.

    What a run has left that was killed is taken away first. Without names these are hub's and labs'.

    Raises
    ------
    KubectlError
        One of them is somebody's.
    """
    need_cluster()
    names = names or (NAMESPACE, LABS)
    for name in names:
        found = json.loads(kubectl("get", "namespace", name, "--ignore-not-found", "--output", "json") or "{}")
        ended = found.get("status", {}).get("phase") == "Terminating"
        if found and not ended and MADE not in found["metadata"].get("annotations", {}):
            raise KubectlError(
                f"the cluster has a namespace {name} that no test made: these tests deploy into it and delete it "
                "at the end, so wanted another cluster (KUBECONFIG), or one without it"
            )
    _delete_namespaces(names)
    try:
        for name in names:
            # Not applied: then the component's own manifest would take the annotation away.
            kubectl("create", "namespace", name)
            kubectl("annotate", "namespace", name, f"{MADE}=")
        yield
    finally:
        _delete_namespaces(names)


def _delete_namespaces(names: tuple[str, ...]) -> None:
    kubectl("delete", "namespace", *names, "--ignore-not-found", timeout=240)
    if NAMESPACE in names:
        kubectl("delete", *OUTSIDE, "--ignore-not-found")


def apply(*objects: dict[str, Any]) -> None:
    """Apply objects."""
    kubectl("apply", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def wait_for_kube_proxy() -> None:
    """Wait until kube-proxy has written its rules for Services that have just become ready.

    kube-proxy writes two tables, one after the other. A packet in between leaves the node. If another host answers it,
    a proxy keeps that connection open and sends later requests to it.
    """
    time.sleep(3)


def wait_for_rollout(deployment: str, timeout: float = 60) -> None:
    """Wait until a Deployment runs as it is meant to.

    Raises
    ------
    KubectlError
        It does not; with its pods, their events and logs.
    """
    arguments = ["--namespace", NAMESPACE, f"deployment/{deployment}"]
    try:
        kubectl("rollout", "status", *arguments, f"--timeout={timeout:.0f}s", timeout=timeout + 10)
    except KubectlError as error:
        told = [str(error)]
        for command in (["get", "pods", "-o", "wide"], ["get", "events"], ["logs", arguments[-1], "--tail=50"]):
            try:
                told.append(kubectl(*command, "--namespace", NAMESPACE))
            except KubectlError as more:
                told.append(str(more))
        raise KubectlError("\n".join(told)) from error
