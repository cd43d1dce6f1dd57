"""Kubernetes' objects, found by kind and name, as kubectl gives them."""

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
    """Give what stands there in an object; the default where something on the way is missing or empty."""
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return default if found is None else found


def name_of(found: Object) -> str:
    """Give an object's name."""
    return str(look_up(found, "metadata", "name", default=""))


def namespace_of(found: Object) -> str:
    """Give an object's namespace; empty where it has none."""
    return str(look_up(found, "metadata", "namespace", default=""))


def describe(found: Object) -> str:
    """Name an object for a person."""
    place = namespace_of(found)
    return f"{found['kind']} {name_of(found)}" + (f" in {place}" if place else "")


class Objects:
    """All that was read of the cluster."""

    def __init__(self, items: Iterable[Object] = ()) -> None:
        self._items = list(items)

    def of(self, kind: str, namespace: str = "") -> list[Object]:
        """Give all of a kind, of one namespace if it is named."""
        return [one for one in self._items if one["kind"] == kind and namespace in {"", namespace_of(one)}]

    def find(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """Find one."""
        return next((one for one in self.of(kind, namespace) if name_of(one) == name), None)

    def settings(self, name: str) -> dict[str, str]:
        """Give what a ConfigMap of ours says; nothing if there is none."""
        found: dict[str, str] = look_up(self.find("ConfigMap", name, NAMESPACE), "data", default={})
        return found

    def secret(self, name: str) -> dict[str, bytes]:
        """Give a Secret of ours; nothing if there is none. What it says is shown to nobody."""
        stored = look_up(self.find("Secret", name, NAMESPACE), "data", default={})
        return {key: decode(value) for key, value in stored.items()}

    def workloads(self) -> list[Object]:
        """Give what runs pods of ours."""
        ours = [one for kind in WORKLOADS for space in (NAMESPACE, LABS) for one in self.of(kind, space)]
        return [one for one in ours if label(one, "part-of") == NAMESPACE]

    def pods(self, workload: Object) -> list[Object]:
        """Give the pods of a workload."""
        wanted = look_up(workload, "spec", "selector", "matchLabels", default={}).items()
        pods = self.of("Pod", namespace_of(workload))
        return [one for one in pods if wanted <= look_up(one, "metadata", "labels", default={}).items()]

    def runs(self, deployment: str, container: str = "") -> bool:
        """Tell whether a container of a Deployment of ours runs somewhere; without a name any."""
        found = self.find("Deployment", deployment, NAMESPACE)
        return found is not None and any(
            "running" in look_up(state, "state", default={}) and container in {"", state["name"]}
            for pod in self.pods(found)
            for state in look_up(pod, "status", "containerStatuses", default=[])
        )

    @property
    def serves_nfs(self) -> bool:
        """Whether the fileserver has an NFS server, and not just a folder of the node."""
        found = self.find("Deployment", "fileserver", NAMESPACE)
        return found is not None and "server" in [one["name"] for one in containers(found)]


def decode(value: str) -> bytes:
    """Read a value of a Secret."""
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return b""


def label(found: Object, name: str) -> str:
    """Give one of the labels that Kubernetes recommends."""
    return str(look_up(found, "metadata", "labels", default={}).get(f"app.kubernetes.io/{name}", ""))


def pod_spec(workload: Object) -> Object:
    """Give the pods' spec of a workload."""
    found: Object = look_up(workload, "spec", "template", "spec", default={})
    return found


def containers(workload: Object, kinds: tuple[str, ...] = ("containers",)) -> list[Object]:
    """Give the containers of a workload's pods."""
    return [one for kind in kinds for one in pod_spec(workload).get(kind) or []]


@cache
def manifests(folder: str) -> tuple[Object, ...]:
    """Read what `kubectl apply -f` of a folder of the checkout makes."""
    files = sorted((ROOT / folder).glob("*.yaml"))
    return tuple(one for file in files for one in yaml.safe_load_all(file.read_text()) if one)
