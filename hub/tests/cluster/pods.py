"""Changes to labs' pods that users and the hub do not make."""

from __future__ import annotations

import json

from labtesting.cluster import LABS, get, kubectl


def pod_uid(name: str) -> str:
    """Return the UID of a lab's pod. A new lab has a new UID."""
    return str(get("pod", name, namespace=LABS)["metadata"]["uid"])


def evict(name: str) -> None:
    """Evict a lab's pod, as `kubectl drain` does."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": LABS}}
    path = f"/api/v1/namespaces/{LABS}/pods/{name}/eviction"
    kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(eviction))


def set_finalizers(name: str, *finalizers: str) -> None:
    """Replace the finalizers of a lab's pod. A deleted pod without finalizers disappears."""
    patch = {"metadata": {"finalizers": list(finalizers) or None}}
    kubectl("patch", "pod", name, "--namespace", LABS, "--type=merge", "--patch", json.dumps(patch))
