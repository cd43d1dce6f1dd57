"""Access to Kubernetes objects, as kubectl returns them, by kind and name."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from functools import cache
from typing import Any

import yaml

from labadmin.checkout import ROOT

Object = dict[str, Any]

NAMESPACE = "jupyterlabdemo"
LABS = "jupyterlabdemo-labs"
# The claims in NAMESPACE with the data of the site: homes and project folders, the database of the hub
DATA_CLAIMS = ("fileserver", "hub")
# The policy in hub/kubernetes that forbids the deletion of these claims, and the annotation that allows it
DATA_POLICY = "jupyterlabdemo-data"
ALLOW_DELETION = "jupyterlabdemo.lsst.io/allow-delete"
WORKLOADS = ("Deployment", "DaemonSet")


def look_up(found: Any, *path: str, default: Any = None) -> Any:
    """Return the value at a path in an object, or the default if a part of the path is missing or null."""
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return default if found is None else found


def name_of(found: Object) -> str:
    """Return the name of an object."""
    return str(look_up(found, "metadata", "name", default=""))


def namespace_of(found: Object) -> str:
    """Return the namespace of an object, empty if it has none."""
    return str(look_up(found, "metadata", "namespace", default=""))


def describe(found: Object) -> str:
    """Return the kind, name and namespace of an object as text for messages."""
    place = namespace_of(found)
    return f"{found['kind']} {name_of(found)}" + (f" in {place}" if place else "")


class Objects:
    """The objects that were read from the cluster."""

    def __init__(self, items: Iterable[Object] = ()) -> None:
        self._items = list(items)

    def of(self, kind: str, namespace: str = "") -> list[Object]:
        """Return all objects of a kind, in one namespace or in all."""
        return [item for item in self._items if item["kind"] == kind and namespace in {"", namespace_of(item)}]

    def find(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """Return the object with a kind and a name, or None."""
        return next((item for item in self.of(kind, namespace) if name_of(item) == name), None)

    def settings(self, name: str) -> dict[str, str]:
        """Return the data of a ConfigMap in our namespace, or an empty dict if it does not exist."""
        data: dict[str, str] = look_up(self.find("ConfigMap", name, NAMESPACE), "data", default={})
        return data

    def secret(self, name: str) -> dict[str, bytes]:
        """Return the data of a Secret in our namespace, or an empty dict if it does not exist. Never print the data."""
        stored = look_up(self.find("Secret", name, NAMESPACE), "data", default={})
        return {key: decode(value) for key, value in stored.items()}

    def workloads(self) -> list[Object]:
        """Return the Deployments and DaemonSets of the project."""
        workloads = [item for kind in WORKLOADS for space in (NAMESPACE, LABS) for item in self.of(kind, space)]
        return [workload for workload in workloads if read_label(workload, "part-of") == NAMESPACE]

    def pods(self, workload: Object) -> list[Object]:
        """Return the pods of a workload."""
        wanted = look_up(workload, "spec", "selector", "matchLabels", default={}).items()
        pods = self.of("Pod", namespace_of(workload))
        return [pod for pod in pods if wanted <= look_up(pod, "metadata", "labels", default={}).items()]

    def runs(self, deployment: str, container: str = "") -> bool:
        """Return whether a container (by default, any container) of a Deployment in our namespace is running."""
        found = self.find("Deployment", deployment, NAMESPACE)
        return found is not None and any(
            "running" in look_up(state, "state", default={}) and container in {"", state["name"]}
            for pod in self.pods(found)
            for state in look_up(pod, "status", "containerStatuses", default=[])
        )

    @property
    def serves_nfs(self) -> bool:
        """Whether the fileserver runs an NFS server. Without one, labs mount a folder of the node."""
        found = self.find("Deployment", "fileserver", NAMESPACE)
        return found is not None and "server" in [container["name"] for container in containers(found)]


def decode(value: str) -> bytes:
    """Return a decoded value of a Secret, or no bytes if the value is damaged."""
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return b""


def read_label(found: Object, name: str) -> str:
    """Return the label app.kubernetes.io/<name> of an object, or an empty text."""
    return str(look_up(found, "metadata", "labels", default={}).get(f"app.kubernetes.io/{name}", ""))


def pod_spec(workload: Object) -> Object:
    """Return the pod spec of a workload."""
    found: Object = look_up(workload, "spec", "template", "spec", default={})
    return found


def containers(workload: Object, kinds: tuple[str, ...] = ("containers",)) -> list[Object]:
    """Return the containers in the pod template of a workload."""
    return [container for kind in kinds for container in pod_spec(workload).get(kind) or []]


@cache
def manifests(folder: str) -> tuple[Object, ...]:
    """Return the objects in the manifests of a folder of the checkout."""
    files = sorted((ROOT / folder).glob("*.yaml"))
    return tuple(body for file in files for body in yaml.safe_load_all(file.read_text()) if body)
