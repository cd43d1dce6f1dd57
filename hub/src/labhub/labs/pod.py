"""The pod of one lab, built from who somebody is and what they chose. Pure: no API, no environment.

What is in it and why: docs/dev/pods.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labhub.models.identity import Identity
from labhub.models.profiles import Choice

PREFIX = "jupyterlabdemo.lsst.io"
CONTAINER = "notebook"
PORT = 8888
PORT_NAME = "notebook-port"
SELECTOR = {"app.kubernetes.io/part-of": "jupyterlabdemo", "app.kubernetes.io/component": "lab"}
OWNER = f"{PREFIX}/hub-user"

TMP = "/tmp"  # noqa: S108  (in the pod's own volume)
SCRATCH = f"{TMP}/lab"
# Below the hub's host, which the lab's page knows: `labhub.web.announcement`.
ANNOUNCEMENT_PATH = "/hub/api/announcement"


@dataclass(frozen=True)
class Site:
    """What is the same for every lab.

    Attributes
    ----------
    home_claim, project_claim
        PersistentVolumeClaims in the labs' namespace: the exports of the fileserver.
    passwd, group
        The lines that the image has in these files.
    groups_policy
        `Strict`: the groups of the identity and no other. `Merge`: the container runtime adds those that the image's
        group file says, which has none for anybody's UID; for nodes that do not know the other.
    idle_seconds, max_age_seconds, warning_seconds
        When the hub stops a lab, and how long before it says so; 0: never.
    """

    home_claim: str
    project_claim: str
    passwd: str
    group: str
    groups_policy: str
    idle_seconds: int
    max_age_seconds: int
    warning_seconds: int


def pod_name(identity: Identity, server: str = "") -> str:
    """Name the pod after the number, which no rename changes."""
    return f"lab-{identity.uid}" + (f"-{server}" if server else "")


def passwd_file(identity: Identity, image_lines: str) -> str:
    """Give the image's passwd with the user."""
    # The name alone: what people call themselves at GitHub may hold a colon or a line's end.
    return f"{image_lines.rstrip()}\n{identity.name}:x:{identity.uid}:{identity.uid}::/home/{identity.name}:/bin/bash\n"


def group_file(identity: Identity, image_lines: str) -> str:
    """Give the image's group with the user's own and their organizations'."""
    lines = [f"{identity.name}:x:{identity.uid}:"]
    lines += [f"{group.name}:x:{group.gid}:{identity.name}" for group in identity.groups]
    return "\n".join([image_lines.rstrip(), *lines]) + "\n"


def lab_environment(identity: Identity, site: Site) -> dict[str, str]:
    """Give what the lab is told; the contract is `testing/contracts/lab-environment.json`."""
    limits = {
        "LAB_IDLE_SECONDS": site.idle_seconds,
        "LAB_MAX_AGE_SECONDS": site.max_age_seconds,
        "LAB_WARNING_SECONDS": site.warning_seconds,
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


def labels(identity: Identity, choice: Choice) -> dict[str, str]:
    """Give the labels by which a log line finds its user."""
    return {
        "app.kubernetes.io/name": "jupyterlab",
        **SELECTOR,
        # A login may end in - or _, a label's value may not; the id says which of two it is.
        f"{PREFIX}/user": identity.name.rstrip("-_"),
        f"{PREFIX}/github-id": str(identity.github_id),
        f"{PREFIX}/image": choice.image.key,
        f"{PREFIX}/size": choice.size.key,
    }


def container_security() -> dict[str, Any]:
    """Give what Pod Security `restricted` asks of a container, and a root that cannot be written."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def lab_container(identity: Identity, choice: Choice, environment: Mapping[str, str]) -> dict[str, Any]:
    """Give the lab's container."""
    mounts: list[dict[str, Any]] = [
        {"name": "home", "mountPath": f"/home/{identity.name}", "subPath": str(identity.uid)},
        {"name": "scratch", "mountPath": TMP},
        {"name": "names", "mountPath": "/etc/passwd", "subPath": "passwd", "readOnly": True},
        {"name": "names", "mountPath": "/etc/group", "subPath": "group", "readOnly": True},
    ]
    # The organization's login is the name, its number the folder: a rename keeps what is in it. Two of one login are
    # one that was renamed and one that took its name, seen at different times.
    names = {group.gid: group.organization.login for group in reversed(identity.groups)}
    for gid, name in sorted(names.items()):
        shown = name if list(names.values()).count(name) == 1 else f"{name}-{gid}"
        mounts.append({"name": "project", "mountPath": f"/project/{shown}", "subPath": str(gid)})
    return {
        "name": CONTAINER,
        "image": choice.image.image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": name, "value": environment[name]} for name in sorted(environment)],
        "workingDir": f"/home/{identity.name}",
        "ports": [{"name": PORT_NAME, "containerPort": PORT}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": container_security(),
        "resources": {"requests": choice.size.requests, "limits": choice.size.limits},
        "volumeMounts": mounts,
    }


def volumes(site: Site) -> list[dict[str, Any]]:
    """Give the volumes: shared storage, the pod's own disk, and the user's name."""
    names = [
        {"path": name, "fieldRef": {"fieldPath": f"metadata.annotations['{PREFIX}/{name}']"}}
        for name in ("passwd", "group")
    ]
    return [
        {"name": "home", "persistentVolumeClaim": {"claimName": site.home_claim}},
        {"name": "project", "persistentVolumeClaim": {"claimName": site.project_claim}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "names", "downwardAPI": {"items": names}},
    ]


def build_pod(
    identity: Identity,
    choice: Choice,
    site: Site,
    environment: Mapping[str, str],
    *,
    hub_user: str,
    server: str = "",
) -> dict[str, Any]:
    """Build the pod of a lab.

    Parameters
    ----------
    identity
        Whose it is.
    choice
        What they chose.
    site
        What is the same for all.
    environment
        What JupyterHub tells its server.
    hub_user
        The name that the hub knows them by, which after a rename at GitHub may be the older one.
    server
        The name of the server; people have one, without a name.

    Returns
    -------
    dict
        The pod as Kubernetes takes it.
    """
    variables = {**environment, **lab_environment(identity, site)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(identity, server),
            "labels": labels(identity, choice),
            "annotations": {
                OWNER: hub_user,
                f"{PREFIX}/passwd": passwd_file(identity, site.passwd),
                f"{PREFIX}/group": group_file(identity, site.group),
                # What runs in it cannot be started again somewhere else.
                "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
            },
        },
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            # A lab that ended is explained to its user, not started again behind their back.
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": identity.uid,
                "runAsGroup": identity.uid,
                "supplementalGroups": [group.gid for group in identity.groups],
                "supplementalGroupsPolicy": site.groups_policy,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [lab_container(identity, choice, variables)],
            "volumes": volumes(site),
        },
    }
