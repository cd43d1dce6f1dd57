"""The cluster's first node: its address, its features and its storage."""

from __future__ import annotations

import socket

from labtesting import cluster
from labtesting.cluster import NAMESPACE, kubectl

from tools.components import version

# Port on each node's `localhost` at which the node reaches the tests' container registry
REGISTRY_PORT = 35017
# Folder on the node that contains the homes and project folders
STORAGE = "/var/tmp/jupyterlabdemo-test-storage"


def groups_policy() -> str:
    """Return the strictest `supplementalGroupsPolicy` that the node supports. `Strict` needs containerd 2.0."""
    features = cluster.get("nodes")[0]["status"].get("features", {})
    return "Strict" if features.get("supplementalGroupsPolicy") else "Merge"


def own_address() -> str:
    """Return the address at which the cluster's pods can reach this machine."""
    node = cluster.get("nodes")[0]
    address = next(each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return str(probe.getsockname()[0])


def node_command(name: str, script: str) -> None:
    """Run a script as root in a pod on the node. The pod mounts the node's storage folder at /storage."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "restartPolicy": "Never",
            # Set the node here, because the scheduler may still be starting after an earlier test.
            "nodeName": cluster.get("nodes")[0]["metadata"]["name"],
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "root",
                    "image": f"lsstsqre/jupyterlabdemo-hub:{version()}",
                    "command": ["/bin/sh", "-c", script],
                    "securityContext": {"runAsUser": 0},
                    "volumeMounts": [{"name": "storage", "mountPath": "/storage"}],
                }
            ],
            "volumes": [{"name": "storage", "hostPath": {"path": STORAGE, "type": "DirectoryOrCreate"}}],
        },
    }
    kubectl("delete", "pod", name, "--namespace", NAMESPACE, "--ignore-not-found")
    cluster.apply(pod)
    kubectl(
        "wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--namespace", NAMESPACE, "--timeout=60s"
    )
    kubectl("delete", "pod", name, "--namespace", NAMESPACE)
