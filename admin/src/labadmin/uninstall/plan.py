"""The plan of an uninstallation: the objects to delete, in order, and the data that stays. It deletes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from labadmin.objects import (
    DATA_CLAIMS,
    DATA_POLICY,
    LABS,
    NAMESPACE,
    Object,
    Objects,
    describe,
    look_up,
    name_of,
    read_label,
)

# The kinds of the site's objects in NAMESPACE. Controllers delete the objects of other kinds, for example pods.
KINDS = (
    "Deployment",
    "DaemonSet",
    "CronJob",
    "Service",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "NetworkPolicy",
    "RoleBinding",
    "Role",
    "ServiceAccount",
    "ConfigMap",
    "Secret",
)
CLUSTER_KINDS = (
    "ClusterRoleBinding",
    "ClusterRole",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
)
# The objects that `labadmin configure` writes. An administrator may have created them by hand, without labels.
SETTINGS = {
    "ConfigMap": {"hub", "hub-files", "fileserver", "nginx", "logstashrmq", "filebeat"},
    "Secret": {"hub", "fileserver", "nginx-tls", "logstashrmq", "logstashrmq-tls", "filebeat-tls"},
}
# The volumes through which labs mount the homes and project folders. They contain no data themselves.
LAB_VOLUMES = ("jupyterlabdemo-home", "jupyterlabdemo-project")


@dataclass(frozen=True)
class Plan:
    """The objects of an uninstallation.

    Attributes
    ----------
    stages
        The objects to delete. Those of one stage are gone before the next stage begins.
    labs
        Names of the pods of labs, which end.
    claims
        The claims with data, which stay.
    volumes
        The bound volumes of these claims.
    folders
        Folders of a node with data, on a site without NFS. They stay, too.
    """

    stages: tuple[tuple[Object, ...], ...]
    labs: tuple[str, ...]
    claims: tuple[Object, ...]
    volumes: tuple[Object, ...]
    folders: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to delete."""
        return not any(self.stages)


def belongs_to_site(found: Object) -> bool:
    """Return whether an object in NAMESPACE belongs to the site and not to the cluster or another application."""
    return read_label(found, "part-of") == NAMESPACE or name_of(found) in SETTINGS.get(found["kind"], set())


def labs_namespace(found: Objects) -> str:
    """Return the namespace of the labs. A site can use a namespace that the manifests do not create."""
    return found.settings("hub").get("LAB_NAMESPACE") or LABS


def list_lab_volumes(found: Objects) -> list[Object]:
    """Return those of LAB_VOLUMES whose claims are in LABS. The deletion of LABS also deletes these claims."""
    volumes = (found.find("PersistentVolume", name) for name in LAB_VOLUMES)
    return [volume for volume in volumes if volume and look_up(volume, "spec", "claimRef", "namespace") in {None, LABS}]


def create_plan(found: Objects) -> Plan:
    """Return the plan for a site.

    Labs end before the fileserver does: a node cannot unmount the files of a lab whose NFS server is gone. The hub
    ends first, so that it starts no further lab.
    """
    here = [item for kind in KINDS for item in found.of(kind, NAMESPACE) if belongs_to_site(item)]
    hub = [item for item in here if (item["kind"], name_of(item)) == ("Deployment", "hub")]
    labs = [pod for pod in found.of("Pod", labs_namespace(found)) if read_label(pod, "component") == "lab"]
    stages = (
        hub,
        labs,
        [item for item in found.of("Namespace") if name_of(item) == LABS],
        list_lab_volumes(found),
        [item for item in here if item not in hub],
        [
            item
            for kind in CLUSTER_KINDS
            for item in found.of(kind)
            if read_label(item, "part-of") == NAMESPACE and name_of(item) != DATA_POLICY
        ],
    )
    claims = [claim for name in DATA_CLAIMS if (claim := found.find("PersistentVolumeClaim", name, NAMESPACE))]
    volumes = [found.find("PersistentVolume", str(look_up(claim, "spec", "volumeName"))) for claim in claims]
    folders = [look_up(found.find("PersistentVolume", name), "spec", "hostPath", "path") for name in LAB_VOLUMES]
    return Plan(
        tuple(map(tuple, stages)),
        tuple(map(name_of, labs)),
        tuple(claims),
        tuple(filter(None, volumes)),
        tuple(filter(None, folders)),
    )


def format_plan(plan: Plan) -> Iterator[str]:
    """Yield the lines that describe a plan."""
    yield "It deletes:"
    if plan.labs:
        yield f"  {len(plan.labs)} running labs"
    for stage in plan.stages:
        yield from (f"  {describe(item)}" for item in stage if name_of(item) not in plan.labs)
    yield "It keeps:"
    yield from format_kept(plan)


def format_kept(plan: Plan) -> Iterator[str]:
    """Yield the lines that describe the data that stays."""
    for claim in plan.claims:
        size = look_up(claim, "status", "capacity", "storage", default="not bound")
        volume = look_up(claim, "spec", "volumeName", default="none")
        yield f"  {describe(claim)}: {size}, volume {volume}"
    yield from (f"  the folder {folder} of the node" for folder in plan.folders)
    yield f"  the namespace {NAMESPACE}, and the policy {DATA_POLICY}, which protects the data"
