"""A small disk for the claim of the fileserver, on a loop device of this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labtesting import cluster
from labtesting.cluster import ALLOW_DELETION, NAMESPACE, kubectl
from labtesting.fileserver import root_command
from labtesting.second_node import first_node

VOLUME = "jupyterlabdemo-test-disk"
# Size of the disk: enough for some homes, and so small that a lab fills the disk within seconds
SIZE = "160M"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Create a disk for the fileserver's claim, and remove the disk at the end of the block.

    kubelet creates an ext4 file system on the disk and mounts it.
    """
    file = folder / "disk"
    subprocess.run(["truncate", f"--size={SIZE}", file], check=True)
    losetup = [*root_command(), "losetup"]
    created = subprocess.run([*losetup, "--find", "--show", file], capture_output=True, text=True, check=True)
    device = created.stdout.strip()
    try:
        kubectl("delete", "persistentvolume", VOLUME, "--ignore-not-found")
        cluster.apply(volume(device))
        try:
            yield
        finally:
            kubectl("annotate", "persistentvolume", VOLUME, ALLOW_DELETION)
            kubectl("delete", "persistentvolume", VOLUME)
    finally:
        subprocess.run([*losetup, "--detach", device], check=True)


def volume(device: str) -> dict[str, Any]:
    """Return a PersistentVolume on a block device of the first node, reserved for the claim of the fileserver."""
    node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [first_node()]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": VOLUME},
        "spec": {
            # The claim requests 100Gi. Kubernetes does not compare the capacity with the size of the device.
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": default_class(),
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": "fileserver",
                "namespace": NAMESPACE,
            },
            "local": {"path": device, "fsType": "ext4"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [node]}]}},
        },
    }


def default_class() -> str:
    """Return the name of the default StorageClass, which the claim of the fileserver uses."""
    classes = (each["metadata"] for each in cluster.get("storageclasses"))
    return next(str(each["name"]) for each in classes if each.get("annotations", {}).get(DEFAULT_CLASS) == "true")
