"""A full cluster, in which no further lab fits, and events about pods like those of autoscalers and other programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from labtesting.cluster import LABS, NAMESPACE, apply, get, kubectl
from labtesting.hub_process import wait_until

from tools.components import version

# CPU in millicores that stays free on each node. It is less than a lab requests.
FREE_CPU = 20


def cpu_millicores(text: str) -> int:
    """Return a CPU quantity of Kubernetes, for example `2` or `250m`, in millicores."""
    return int(text.removesuffix("m")) if text.endswith("m") else int(float(text) * 1000)


def requested_cpu(node: str) -> int:
    """Return the sum of the CPU requests of all pods on a node, in millicores."""
    listed = kubectl("get", "pods", "--all-namespaces", f"--field-selector=spec.nodeName={node}", "--output", "json")
    pods = [pod for pod in json.loads(listed)["items"] if pod["status"]["phase"] not in ("Succeeded", "Failed")]
    containers = [container for pod in pods for container in pod["spec"]["containers"]]
    return sum(cpu_millicores(each.get("resources", {}).get("requests", {}).get("cpu", "0")) for each in containers)


def filler(node: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of a pod that requests the free CPU of a node, but uses no CPU."""
    name = node["metadata"]["name"]
    free = cpu_millicores(node["status"]["allocatable"]["cpu"]) - requested_cpu(name) - FREE_CPU
    container = {
        "name": "filler",
        "image": f"lsstsqre/jupyterlabdemo-hub:{version()}",
        "command": ["sleep", "infinity"],
        "resources": {"requests": {"cpu": f"{max(free, 0)}m"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"filler-{name}", "namespace": NAMESPACE, "labels": {"app": "filler"}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node["metadata"]["labels"]["kubernetes.io/hostname"]},
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        },
    }


def make_room() -> None:
    """Delete the pods that fill the cluster."""
    kubectl("delete", "pods", "--namespace", NAMESPACE, "--selector=app=filler", "--force", "--grace-period=0")


@contextmanager
def full_cluster() -> Iterator[None]:
    """Fill all nodes with pods, so that no further lab fits. `make_room` or the end of the block deletes them."""
    nodes = [node for node in get("nodes") if not node["spec"].get("unschedulable")]
    apply(*(filler(node) for node in nodes))
    try:
        wait_until(
            lambda: all(pod["spec"].get("nodeName") for pod in get("pods", selector="app=filler")),
            "the cluster is full",
        )
        yield
    finally:
        make_room()


def pod_reference(pod: str) -> dict[str, str]:
    """Return the field of an event that refers to the event's pod."""
    uid = get("pod", pod, namespace=LABS)["metadata"]["uid"]
    return {"kind": "Pod", "namespace": LABS, "name": pod, "uid": uid}


def send_event(pod: str, name: str, **fields: Any) -> None:
    """Create an event about a lab's pod with the older API of events (v1). `fields` are the event's other fields."""
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{pod}.{name}", "namespace": LABS}}
    fields = {"involvedObject": pod_reference(pod), **fields}
    path = f"/api/v1/namespaces/{LABS}/events"
    kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(event | fields))


def send_new_event(pod: str, name: str, *, reason: str, note: str, component: str) -> None:
    """Create an event about a lab's pod with the newer API (events.k8s.io/v1). The event has no `lastTimestamp`."""
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{pod}.{name}", "namespace": LABS},
        "regarding": pod_reference(pod),
        "type": "Normal",
        "reason": reason,
        "note": note,
        "action": "Scaling",
        "reportingController": component,
        "reportingInstance": "test",
        "eventTime": "2026-11-30T12:00:00.000000Z",
    }
    path = f"/apis/events.k8s.io/v1/namespaces/{LABS}/events"
    kubectl("create", "--raw", path, "--filename", "-", stdin=json.dumps(event))


def send_odd_events(pod: str) -> None:
    """Create events about a lab's pod that lack usual fields or have unknown values. Kubernetes accepts such events."""
    reference = pod_reference(pod)
    send_event(pod, "bare", type="Strange")
    send_event(pod, "no-times", reason="Odd", lastTimestamp=None, firstTimestamp=None, eventTime=None, message=None)
    send_event(pod, "series", series={"count": 3}, count=-4, type="", message="a made-up event")
    send_event(pod, "no-uid", involvedObject={name: reference[name] for name in ("kind", "namespace", "name")})
    send_event(pod, "no-name", involvedObject={name: reference[name] for name in ("kind", "namespace")}, reason="Odd")
