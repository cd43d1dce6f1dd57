"""Kubernetes objects as kubectl returns them, found by kind and name."""

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
    """Return kind, name and namespace of an object, for messages."""
    place = namespace_of(found)
    return f"{found['kind']} {name_of(found)}" + (f" in {place}" if place else "")


class Objects:
    """All objects that were read of the cluster."""

    def __init__(self, items: Iterable[Object] = ()) -> None:
        self._items = list(items)

    def of(self, kind: str, namespace: str = "") -> list[Object]:
        """Return all objects of a kind, in one namespace or in all."""
        return [one for one in self._items if one["kind"] == kind and namespace in {"", namespace_of(one)}]

    def find(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """Return one object, or None."""
        return next((one for one in self.of(kind, namespace) if name_of(one) == name), None)

    def settings(self, name: str) -> dict[str, str]:
        """Return the data of one of our ConfigMaps, empty if it does not exist."""
        found: dict[str, str] = look_up(self.find("ConfigMap", name, NAMESPACE), "data", default={})
        return found

    def secret(self, name: str) -> dict[str, bytes]:
        """Return the data of one of our Secrets, empty if it does not exist. It must never be printed."""
        stored = look_up(self.find("Secret", name, NAMESPACE), "data", default={})
        return {key: decode(value) for key, value in stored.items()}

    def workloads(self) -> list[Object]:
        """Return our Deployments and DaemonSets."""
        ours = [one for kind in WORKLOADS for space in (NAMESPACE, LABS) for one in self.of(kind, space)]
        return [one for one in ours if read_label(one, "part-of") == NAMESPACE]

    def pods(self, workload: Object) -> list[Object]:
        """Return the pods of a workload."""
        wanted = look_up(workload, "spec", "selector", "matchLabels", default={}).items()
        pods = self.of("Pod", namespace_of(workload))
        return [one for one in pods if wanted <= look_up(one, "metadata", "labels", default={}).items()]

    def runs(self, deployment: str, container: str = "") -> bool:
        """Return whether a container of one of our Deployments is running. Without a name: any container."""
        found = self.find("Deployment", deployment, NAMESPACE)
        return found is not None and any(
            "running" in look_up(state, "state", default={}) and container in {"", state["name"]}
            for pod in self.pods(found)
            for state in look_up(pod, "status", "containerStatuses", default=[])
        )

    @property
    def serves_nfs(self) -> bool:
        """Whether the fileserver runs an NFS server, and does not share a folder of the node."""
        found = self.find("Deployment", "fileserver", NAMESPACE)
        return found is not None and "server" in [one["name"] for one in containers(found)]


def decode(value: str) -> bytes:
    """Return a decoded value of a Secret, empty if it is damaged."""
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return b""


def read_label(found: Object, name: str) -> str:
    """Return one of the labels app.kubernetes.io/..."""
    return str(look_up(found, "metadata", "labels", default={}).get(f"app.kubernetes.io/{name}", ""))


def pod_spec(workload: Object) -> Object:
    """Return the pod spec of a workload."""
    found: Object = look_up(workload, "spec", "template", "spec", default={})
    return found


def containers(workload: Object, kinds: tuple[str, ...] = ("containers",)) -> list[Object]:
    """Return the containers of a workload's pods."""
    return [one for kind in kinds for one in pod_spec(workload).get(kind) or []]


@cache
def manifests(folder: str) -> tuple[Object, ...]:
    """Return the objects of a folder of the checkout."""
    files = sorted((ROOT / folder).glob("*.yaml"))
    return tuple(one for file in files for one in yaml.safe_load_all(file.read_text()) if one)
