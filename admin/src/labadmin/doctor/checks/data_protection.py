"""Checks that a mistake does not delete the data of the site: the policy against deletions, the reclaim policy."""

from __future__ import annotations

from collections.abc import Iterator

from labadmin.doctor.checks.cluster import parse_time
from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Verdict, fail, ok, skip, warn
from labadmin.objects import (
    ALLOW_DELETION,
    DATA_CLAIMS,
    DATA_POLICY,
    LABS,
    NAMESPACE,
    Object,
    Objects,
    look_up,
    name_of,
    namespace_of,
)

APPLY = "kubectl apply -f hub/kubernetes"
RETAIN = "Retain"
# A volume counts as new for this time. The CronJob `retain-volumes` corrects its reclaim policy within five minutes.
NEW_SECONDS = 600.0


def find_volume(claim: Object, objects: Objects) -> Object | None:
    """Return the volume of a claim, or None if the claim is not bound."""
    return objects.find("PersistentVolume", str(look_up(claim, "spec", "volumeName")))


def list_protected(objects: Objects) -> list[Object]:
    """Return the objects of the site whose deletion would delete data, or end all labs."""
    claims = [objects.find("PersistentVolumeClaim", name, NAMESPACE) for name in DATA_CLAIMS]
    namespaces = [objects.find("Namespace", name) for name in (NAMESPACE, LABS)]
    volumes = [find_volume(claim, objects) for claim in claims if claim]
    return [found for found in (*namespaces, *claims, *volumes) if found]


def data_policy(state: ClusterState) -> Iterator[Verdict]:
    """Check that the API server refuses to delete the namespaces, the claims with data and their volumes."""
    answer = state.answers.get("deletion")
    if answer is None:
        yield skip("the site has no namespace (see objects)")
        return
    accepted = answer.out.split()
    lines = [line for line in answer.err.splitlines() if line.strip() and not line.startswith("Warning:")]
    others = [line for line in lines if DATA_POLICY not in line]
    if accepted:
        annotations = [remove_annotation(found) for found in list_protected(state.objects) if is_given_up(found)]
        fix = "; ".join(annotations) or f"{APPLY}; then wait some seconds"
        yield fail(f"the API server would delete {', '.join(accepted)}; wanted a refusal, because they hold data", fix)
    elif others:
        fix = "run the doctor as a user who can delete these objects"
        yield warn(f"cannot check whether the API server refuses to delete data: {others[-1]}", fix)
    else:
        yield from check_policy(state.objects)


def check_policy(objects: Objects) -> Iterator[Verdict]:
    """Check that neither the policy nor its binding is marked for deletion. A marked policy is still in force."""
    kinds = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
    found = [objects.find(kind, DATA_POLICY) for kind in kinds]
    deleted = [item for item in found if item and look_up(item, "metadata", "deletionTimestamp")]
    for item in deleted:
        which = f"{item['kind'].lower()} {DATA_POLICY}"
        patch = """--type=merge -p '{"metadata":{"finalizers":null}}'"""
        yield warn(
            f"the {which} was deleted. It is in force until its finalizer is removed, and then ends",
            f"kubectl patch {which} {patch}; then {APPLY}",
        )
    if not deleted:
        yield ok("the API server refuses to delete the namespaces, the claims with data and their volumes")


def is_given_up(found: Object) -> bool:
    """Return whether an annotation allows the deletion of an object."""
    return bool(look_up(found, "metadata", "annotations", default={}).get(ALLOW_DELETION) == "true")


def remove_annotation(found: Object) -> str:
    """Return the command that protects an object again."""
    place = f" -n {namespace_of(found)}" if namespace_of(found) else ""
    return f"kubectl{place} annotate {found['kind'].lower()} {name_of(found)} {ALLOW_DELETION}-"


def reclaim_policy(state: ClusterState) -> Iterator[Verdict]:
    """Check that the disks stay when their claims are deleted."""
    retained = []
    for claim in (state.objects.find("PersistentVolumeClaim", name, NAMESPACE) for name in DATA_CLAIMS):
        volume = find_volume(claim, state.objects) if claim else None
        if claim is None or volume is None:
            continue
        retained.append(look_up(volume, "spec", "persistentVolumeReclaimPolicy") == RETAIN)
        if not retained[-1]:
            yield judge_volume(claim, volume, state.now)
    if retained and all(retained):
        yield ok(f"{len(retained)} volumes stay when their claims are deleted")
    if not retained:
        yield skip("found no volume of the claims fileserver and hub (see claims)")


def judge_volume(claim: Object, volume: Object, now: float) -> Verdict:
    """Return the verdict for a volume that would be deleted with its claim.

    A new volume only causes a warning, because the CronJob corrects its reclaim policy within minutes.
    """
    policy, name = look_up(volume, "spec", "persistentVolumeReclaimPolicy"), name_of(volume)
    problem = (
        f"the volume {name} of the claim {name_of(claim)} has the reclaim policy {policy}, wanted {RETAIN}: Kubernetes "
        "deletes the disk when the claim is deleted"
    )
    created = look_up(volume, "metadata", "creationTimestamp")
    if created and now - parse_time(created) < NEW_SECONDS:
        return warn(problem, "wait: the CronJob retain-volumes changes it within five minutes")
    logs = f"kubectl -n {NAMESPACE} logs -l app.kubernetes.io/name=retain-volumes"
    patch = f'{{"spec":{{"persistentVolumeReclaimPolicy":"{RETAIN}"}}}}'
    return fail(problem, f"kubectl patch pv {name} -p '{patch}'; why the CronJob did not change it: {logs}")
