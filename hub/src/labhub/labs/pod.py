"""Manifest of a lab's pod, built from the user's identity, image and size. docs/dev/pods.md explains its contents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labhub.models.identity import Identity
from labhub.models.pod_types import CONTAINER, GITHUB_ID, OWNER, PORT, PORT_NAME, PREFIX, SELECTOR, Pod, PodSettings
from labhub.models.profiles import Choice

TMP = "/tmp"  # noqa: S108  (a volume of the lab's pod)
SCRATCH = f"{TMP}/lab"
# URL path of the hub's API call for the announcement, which `labhub.web.announcement` handles
ANNOUNCEMENT_PATH = "/hub/api/announcement"


def pod_name(identity: Identity, server: str = "") -> str:
    """Return the name of the pod of a user's lab. It contains the UID, because a user's login at GitHub can change."""
    return f"lab-{identity.uid}" + (f"-{server}" if server else "")


def passwd_file(identity: Identity, image_lines: str) -> str:
    """Return the lines of the image's passwd file, and a line for the user."""
    # The field for the full name stays empty, because a full name at GitHub can contain a colon or a line break.
    return f"{image_lines.rstrip()}\n{identity.name}:x:{identity.uid}:{identity.uid}::/home/{identity.name}:/bin/bash\n"


def group_file(identity: Identity, image_lines: str) -> str:
    """Return the lines of the image's group file, and a line for each group of the user."""
    lines = [f"{identity.name}:x:{identity.uid}:"]
    lines += [f"{group.name}:x:{group.gid}:{identity.name}" for group in identity.groups]
    return "\n".join([image_lines.rstrip(), *lines]) + "\n"


def lab_environment(identity: Identity, settings: PodSettings) -> dict[str, str]:
    """Return the variables that the project's lab image reads, in addition to those of JupyterHub.

    The contract is `testing/contracts/lab-environment.json`.
    """
    limits = {
        "LAB_IDLE_SECONDS": settings.idle_seconds,
        "LAB_MAX_AGE_SECONDS": settings.max_age_seconds,
        "LAB_WARNING_SECONDS": settings.warning_seconds,
        "LAB_STOP_SECONDS": settings.stop_seconds,
    }
    return {
        "HOME": f"/home/{identity.name}",
        "USER": identity.name,
        "LOGNAME": identity.name,
        "SHELL": "/bin/bash",
        "LAB_SCRATCH": SCRATCH,
        "LAB_LOG": "json",
        "LAB_ANNOUNCEMENT_PATH": ANNOUNCEMENT_PATH,
    } | {name: str(value) for name, value in limits.items() if value}


def build_labels(identity: Identity, choice: Choice) -> dict[str, str]:
    """Return the pod's labels. filebeat reads them to add the user to each log event."""
    return {
        "app.kubernetes.io/name": "jupyterlab",
        **SELECTOR,
        # A user name can end in - or _, but the value of a label cannot. The label with the GitHub id distinguishes
        # users such as `ada` and `ada-`.
        f"{PREFIX}/user": identity.name.rstrip("-_"),
        GITHUB_ID: str(identity.github_id),
        f"{PREFIX}/image": choice.image.key,
        f"{PREFIX}/size": choice.size.key,
    }


def build_security_context() -> dict[str, Any]:
    """Return a container's security context, which Pod Security `restricted` admits.

    The root file system is read-only.
    """
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def build_container(identity: Identity, choice: Choice, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the container of the lab."""
    mounts: list[dict[str, Any]] = [
        {"name": "home", "mountPath": f"/home/{identity.name}", "subPath": str(identity.uid)},
        {"name": "scratch", "mountPath": TMP},
        {"name": "names", "mountPath": "/etc/passwd", "subPath": "passwd", "readOnly": True},
        {"name": "names", "mountPath": "/etc/group", "subPath": "group", "readOnly": True},
    ]
    # On the storage, a project folder's name is the organization's id, so the files stay when the organization is
    # renamed at GitHub. Two groups can have the same login: one organization was renamed, and another has taken the
    # former name, between two membership checks.
    logins = {group.gid: group.organization.login for group in reversed(identity.groups)}
    for gid, login in sorted(logins.items()):
        name = login if list(logins.values()).count(login) == 1 else f"{login}-{gid}"
        mounts.append({"name": "project", "mountPath": f"/project/{name}", "subPath": str(gid)})
    return {
        "name": CONTAINER,
        "image": choice.image.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": name, "value": environment[name]} for name in sorted(environment)],
        "workingDir": f"/home/{identity.name}",
        "ports": [{"name": PORT_NAME, "containerPort": PORT}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": build_security_context(),
        "resources": {"requests": choice.size.requests, "limits": choice.size.limits},
        "volumeMounts": mounts,
    }


def build_volumes(settings: PodSettings) -> list[dict[str, Any]]:
    """Return the volumes of a lab's pod: home and project folders, scratch space, and the passwd and group files."""
    names = [
        {"path": name, "fieldRef": {"fieldPath": f"metadata.annotations['{PREFIX}/{name}']"}}
        for name in ("passwd", "group")
    ]
    return [
        {"name": "home", "persistentVolumeClaim": {"claimName": settings.home_claim}},
        {"name": "project", "persistentVolumeClaim": {"claimName": settings.project_claim}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "names", "downwardAPI": {"items": names}},
    ]


def build_pod(
    identity: Identity,
    choice: Choice,
    settings: PodSettings,
    environment: Mapping[str, str],
    *,
    hub_user: str,
    server: str = "",
) -> Pod:
    """Return the manifest of a lab's pod.

    Parameters
    ----------
    identity
        POSIX user of the lab.
    choice
        Image and size.
    settings
        Settings of the site.
    environment
        Variables that JupyterHub sets for its single-user server.
    hub_user
        User name in the hub. After a rename at GitHub, the user name can still be the former login.
    server
        JupyterHub's name of the lab. The name is empty, because each user has one lab.
    """
    variables = {**environment, **lab_environment(identity, settings)}
    if choice.clean_settings:
        variables["LAB_CLEAN_SETTINGS"] = "1"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(identity, server),
            "labels": build_labels(identity, choice),
            "annotations": {
                OWNER: hub_user,
                f"{PREFIX}/passwd": passwd_file(identity, settings.passwd),
                f"{PREFIX}/group": group_file(identity, settings.group),
                # The autoscaler must not evict the pod to free its node, because the state of the lab's kernels would
                # be lost.
                "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
            },
        },
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            # kubelet does not restart the container, because the kernels would be lost. The hub shows the user why the
            # lab ended.
            "restartPolicy": "Never",
            # The grace period in the pod also applies if another client deletes the pod, for example during a drain of
            # the node.
            "terminationGracePeriodSeconds": settings.stop_seconds,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": identity.uid,
                "runAsGroup": identity.uid,
                "supplementalGroups": [group.gid for group in identity.groups],
                "supplementalGroupsPolicy": settings.groups_policy,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [build_container(identity, choice, variables)],
            "volumes": build_volumes(settings),
        },
    }
