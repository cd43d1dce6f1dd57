"""Types and names that describe a lab's pod: labels, annotations, stages of a start, and the site's pod settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# A pod as a dictionary, in the form of the Kubernetes API
Pod = dict[str, Any]

PREFIX = "jupyterlabdemo.lsst.io"
CONTAINER = "notebook"
PORT = 8888
PORT_NAME = "notebook-port"
SELECTOR = {"app.kubernetes.io/part-of": "jupyterlabdemo", "app.kubernetes.io/component": "lab"}
# Annotation with the user name in the hub. The hub can trust this name, because only the hub and administrators of the
# cluster can create pods in the labs' namespace.
OWNER = f"{PREFIX}/hub-user"
GITHUB_ID = f"{PREFIX}/github-id"

# Stages of a start, in their order. At the stage `pulled`, the image is on the node and the volumes are mounted.
STAGES = ("created", "scheduled", "pulled", "started")


@dataclass(frozen=True)
class PodSettings:
    """Settings of a pod that are the same for all labs of a site.

    Attributes
    ----------
    home_claim, project_claim
        Names of the PersistentVolumeClaims in the labs' namespace that are bound to the fileserver's exports.
    passwd, group
        Contents of /etc/passwd and /etc/group in the lab's image.
    groups_policy
        Kubernetes' `supplementalGroupsPolicy`. `Strict`: the lab's processes have only the groups of the identity.
        `Merge`: they also have the groups in which the image's group file lists the user. This makes no difference for
        the project's image, which lists no user of the hub in a group. `Merge` is for nodes whose container runtime
        does not support `Strict`.
    idle_seconds, max_age_seconds, warning_seconds
        The hub stops a lab after `idle_seconds` without activity, and at the age of `max_age_seconds`. The lab warns
        its user `warning_seconds` before the hub stops the lab. The value 0 turns off the limit or the warning.
    stop_seconds
        Time in seconds between SIGTERM and SIGKILL, in which a lab's programs can save.
    """

    home_claim: str
    project_claim: str
    passwd: str
    group: str
    groups_policy: str
    idle_seconds: int
    max_age_seconds: int
    warning_seconds: int
    stop_seconds: int


def lab_container(pod: Pod) -> dict[str, Any]:
    """Return the specification of the lab's container in a pod."""
    container: dict[str, Any] = next(each for each in pod["spec"]["containers"] if each["name"] == CONTAINER)
    return container
