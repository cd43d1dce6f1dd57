"""Changes to labs' pods that an administrator or a program of the cluster makes."""

from __future__ import annotations

import json

from labtesting.cluster import LABS, get, kubectl


def pod_uid(name: str) -> str:
    """Return the UID of a lab's pod. The pod of a new lab has the same name, but another UID."""
    return str(get("pod", name, namespace=LABS)["metadata"]["uid"])


def evict(name: str) -> None:
    """Evict a lab's pod through the Kubernetes API, as `kubectl drain` does."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": LABS}}
    path = f"/api/v1/namespaces/{LABS}/pods/{name}/eviction"
    kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))


def set_finalizers(name: str, *finalizers: str) -> None:
    """Replace the finalizers of a lab's pod. Kubernetes keeps a deleted pod until its last finalizer is removed."""
    patch = {"metadata": {"finalizers": list(finalizers) or None}}
    kubectl("patch", "pod", name, "--namespace", LABS, "--type=merge", "--patch", json.dumps(patch))
