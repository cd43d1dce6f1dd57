# ruff: noqa: D401  (the docstring of a rule states the rule)
"""Rules for containers in manifests: images, privileges, resources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.manifests.complaint import Complaint, each_container, in_container, in_pod_or_container
from tests.manifests.manifest import Folder, part
from tools.components import image_name, version


def no_secret_in_environment(folder: Folder) -> Iterator[Complaint]:
    """Secrets are mounted as files, because every process in a container inherits the environment."""
    for manifest, container in each_container(folder):
        from_secrets = [
            str(one.get("name")) for one in container.get("env") or [] if "secretKeyRef" in part(one, "valueFrom")
        ]
        from_secrets += [
            str(part(one, "secretRef").get("name")) for one in container.get("envFrom") or [] if "secretRef" in one
        ]
        for name in from_secrets:
            yield Complaint(manifest, f"the environment has {name} from a Secret, wanted a mounted file", container)


def images(folder: Folder) -> Iterator[Complaint]:
    """Containers use the components' images with the project's version as tag, and the pull policy `IfNotPresent`."""
    ours = {image_name(file.parent.name) for file in Path(__file__).parents[2].glob("*/Dockerfile")}
    for manifest, container in each_container(folder):
        name, _, tag = str(container.get("image")).rpartition(":")
        if name not in ours:
            yield Complaint(
                manifest, f"found the image {name or tag}, wanted one of {', '.join(sorted(ours))}", container
            )
        if tag != version():
            yield Complaint(manifest, f"found the image tag {tag}, wanted {version()}", container)
        if (policy := container.get("imagePullPolicy")) != "IfNotPresent":
            yield Complaint(manifest, f"imagePullPolicy: found {policy}, wanted IfNotPresent", container)


def run_as_non_root(folder: Folder) -> Iterator[Complaint]:
    """No container runs as root."""
    return in_pod_or_container(folder, "runAsNonRoot", True)


def seccomp(folder: Folder) -> Iterator[Complaint]:
    """Each container uses the default seccomp filter of the container runtime."""
    return in_pod_or_container(folder, "seccompProfile", {"type": "RuntimeDefault"})


def capabilities(folder: Folder) -> Iterator[Complaint]:
    """Containers drop all Linux capabilities."""
    return in_container(folder, "capabilities", {"drop": ["ALL"]})


def no_escalation(folder: Folder) -> Iterator[Complaint]:
    """No process can get more privileges than its parent process."""
    return in_container(folder, "allowPrivilegeEscalation", False)


def read_only_root(folder: Folder) -> Iterator[Complaint]:
    """Containers write only to volumes: the root file system is read-only."""
    return in_container(folder, "readOnlyRootFilesystem", True)


def nothing_of_the_node(folder: Folder) -> Iterator[Complaint]:
    """Pods have no access to their node's network, processes, folders or devices."""
    for manifest in folder.manifests:
        if (pod := manifest.pod) is None:
            continue
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(key):
                yield Complaint(manifest, f"found {key}: true, wanted false", pod)
        for volume in pod.get("volumes") or []:
            if "hostPath" in volume:
                yield Complaint(manifest, f"volume {volume.get('name')} is a hostPath", volume)
        for container in manifest.containers:
            if part(container, "securityContext").get("privileged"):
                yield Complaint(manifest, "found privileged: true, wanted false", container)


def service_account_token(folder: Folder) -> Iterator[Complaint]:
    """A pod mounts a token for the Kubernetes API only if the pod has its own ServiceAccount."""
    for manifest in folder.manifests:
        pod = manifest.pod
        if pod is not None and pod.get("automountServiceAccountToken") is not False and "serviceAccountName" not in pod:
            yield Complaint(manifest, "wanted automountServiceAccountToken: false, or a serviceAccountName", pod)


def resources(folder: Folder) -> Iterator[Complaint]:
    """Each container has requests and limits for CPU and memory."""
    for manifest, container in each_container(folder):
        found = part(container, "resources")
        for kind in ("requests", "limits"):
            for name in ("cpu", "memory"):
                if name not in part(found, kind):
                    yield Complaint(manifest, f"{container.get('name')}: resources.{kind}.{name} is missing", container)
