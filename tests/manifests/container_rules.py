# ruff: noqa: D401  (the first line of a rule is the rule)
"""Rules for what runs in containers: images, rights, resources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.manifests.complaint import Complaint, each_container, in_container, in_pod_or_container
from tests.manifests.manifest import Folder, part
from tools.components import image_name, version


def no_secret_in_environment(folder: Folder) -> Iterator[Complaint]:
    """Secrets are mounted as files: whatever runs in a container inherits its environment."""
    for manifest, container in each_container(folder):
        from_secrets = [
            str(one.get("name")) for one in container.get("env") or [] if "secretKeyRef" in part(one, "valueFrom")
        ]
        from_secrets += [
            str(part(one, "secretRef").get("name")) for one in container.get("envFrom") or [] if "secretRef" in one
        ]
        for name in from_secrets:
            yield Complaint(manifest, f"{name} comes from a Secret into the environment, wanted a file", container)


def images(folder: Folder) -> Iterator[Complaint]:
    """An image is a component's, of the project's version, and is pulled once."""
    ours = {image_name(file.parent.name) for file in Path(__file__).parents[2].glob("*/Dockerfile")}
    for manifest, container in each_container(folder):
        name, _, tag = str(container.get("image")).rpartition(":")
        if name not in ours:
            yield Complaint(
                manifest, f"found the image {name or tag}, wanted one of {', '.join(sorted(ours))}", container
            )
        if tag != version():
            yield Complaint(manifest, f"found the image's tag {tag}, wanted {version()}", container)
        if (policy := container.get("imagePullPolicy")) != "IfNotPresent":
            yield Complaint(manifest, f"imagePullPolicy: found {policy}, wanted IfNotPresent", container)


def run_as_non_root(folder: Folder) -> Iterator[Complaint]:
    """Nothing runs as UID 0."""
    return in_pod_or_container(folder, "runAsNonRoot", True)


def seccomp(folder: Folder) -> Iterator[Complaint]:
    """The runtime's filter of system calls is on."""
    return in_pod_or_container(folder, "seccompProfile", {"type": "RuntimeDefault"})


def capabilities(folder: Folder) -> Iterator[Complaint]:
    """No container holds a capability."""
    return in_container(folder, "capabilities", {"drop": ["ALL"]})


def no_escalation(folder: Folder) -> Iterator[Complaint]:
    """No program in a container gets more rights than the one that starts it."""
    return in_container(folder, "allowPrivilegeEscalation", False)


def read_only_root(folder: Folder) -> Iterator[Complaint]:
    """What a container writes, it writes to a volume."""
    return in_container(folder, "readOnlyRootFilesystem", True)


def nothing_of_the_node(folder: Folder) -> Iterator[Complaint]:
    """A pod sees nothing of its node: no network, process or folder of it, nor its devices."""
    for manifest in folder.manifests:
        if (pod := manifest.pod) is None:
            continue
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(key):
                yield Complaint(manifest, f"{key} is on", pod)
        for volume in pod.get("volumes") or []:
            if "hostPath" in volume:
                yield Complaint(manifest, f"volume {volume.get('name')} is a folder of the node", volume)
        for container in manifest.containers:
            if part(container, "securityContext").get("privileged"):
                yield Complaint(manifest, "privileged is on", container)


def service_account_token(folder: Folder) -> Iterator[Complaint]:
    """A pod mounts an API token only if it has its own ServiceAccount."""
    for manifest in folder.manifests:
        pod = manifest.pod
        if pod is not None and pod.get("automountServiceAccountToken") is not False and "serviceAccountName" not in pod:
            yield Complaint(manifest, "wanted automountServiceAccountToken: false, or a serviceAccountName", pod)


def resources(folder: Folder) -> Iterator[Complaint]:
    """Every container says what it needs, and what it may take at most."""
    for manifest, container in each_container(folder):
        found = part(container, "resources")
        for what in ("requests", "limits"):
            for name in ("cpu", "memory"):
                if name not in part(found, what):
                    yield Complaint(manifest, f"{container.get('name')}: no {what} of {name}", container)
