"""Checks of the storage of the homes: the driver, the claims, the server, the disk."""

from __future__ import annotations

from collections.abc import Iterator

from labadmin.doctor.checks.deployment import find_folder, last_warning
from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Verdict, fail, ok, skip, warn
from labadmin.doctor.objects import LABS, NAMESPACE, Object, describe, look_up, manifests, name_of, namespace_of

DRIVER = "nfs.csi.k8s.io"
INSTALL = "install it: https://github.com/kubernetes-csi/csi-driver-nfs (docs/admin/storage.md has a way without)"
SPARE, LAST = 0.10, 0.01
# The fileserver checks the token first, then answers that the path does not exist.
ACCEPTED, REFUSED = 404, 401
KINDS = {"bytes": "room", "inodes": "room for files (inodes)"}


def driver(state: ClusterState) -> Iterator[Verdict]:
    """Check that the driver of the volumes is installed, on every node."""
    ours = [
        one for one in state.objects.of("PersistentVolume") if look_up(one, "spec", "claimRef", "namespace") == LABS
    ]
    if not any(look_up(one, "spec", "csi", "driver") == DRIVER for one in ours):
        kind = "another kind" if ours else "no volume of the labs'"
        yield skip(f"{kind}: found none that names {DRIVER}")
        return
    if not state.objects.find("CSIDriver", DRIVER):
        yield fail(f"the volumes name the CSI driver {DRIVER}, which the cluster does not have: no lab starts", INSTALL)
        return
    without = [name_of(one) for one in state.objects.of("CSINode") if DRIVER not in drivers(one)]
    if without:
        fix = "kubectl get pods -A -l app=csi-nfs-node -o wide: one on every node"
        yield fail(f"the CSI driver {DRIVER} is not on {', '.join(without)}: labs do not start there", fix)
    else:
        yield ok(f"{DRIVER} is on every node")


def drivers(node: Object) -> set[str]:
    """Return the drivers of a node."""
    return {str(one["name"]) for one in look_up(node, "spec", "drivers", default=[])}


def claims(state: ClusterState) -> Iterator[Verdict]:
    """Check that every claim is bound."""
    components = ("hub", "fileserver")
    meant = [
        one
        for name in components
        for one in manifests(find_folder(name, state.objects))
        if one["kind"] == "PersistentVolumeClaim"
    ]
    found = [state.objects.find(one["kind"], name_of(one), namespace_of(one)) for one in meant]
    there = [one for one in found if one is not None]
    for one in there:
        phase = look_up(one, "status", "phase")
        if phase != "Bound":
            why = last_warning(one, state.objects) or "no reason reported"
            look = f"kubectl -n {namespace_of(one)} describe pvc {name_of(one)}"
            fix = f"{look}; kubectl get storageclass: one has to be the default"
            yield fail(f"{describe(one)}: found {phase}, wanted Bound: {why}", fix)
    if there and all(look_up(one, "status", "phase") == "Bound" for one in there):
        yield ok(f"{len(there)} are bound")
    if not there:
        yield skip("found none (objects)")


def homes(state: ClusterState) -> Iterator[Verdict]:
    """Check that the fileserver accepts the hub's token, which the hub needs to create homes."""
    answer = state.answers.get("hub")
    if answer is None or answer.status:
        yield skip("the hub does not run (workloads)")
        return
    status, said = answer.read()["fileserver"]
    if status == ACCEPTED:
        yield ok("the fileserver takes the hub's token")
        return
    restart = f"kubectl -n {NAMESPACE} rollout restart deployment/hub deployment/fileserver"
    fix = f"kubectl -n {NAMESPACE} logs deployment/fileserver -c labfiles"
    if status == REFUSED:
        fix = f"the same FILESERVER_TOKEN in the Secrets hub and fileserver (tokens), then {restart}"
    yield fail(f"the fileserver answers the hub {status or 'nothing'}: {said}; no home can be made", fix)


def nfs(state: ClusterState) -> Iterator[Verdict]:
    """Check that NFS answers for both exports."""
    if state.objects.find("Deployment", "fileserver", NAMESPACE) and not state.objects.serves_nfs:
        yield skip("homes are a folder of the node (fileserver/alternatives/hostpath)")
        return
    answer = state.answers.get("storage")
    fix = f"kubectl -n {NAMESPACE} logs deployment/fileserver -c server"
    if answer is None:
        yield skip("the fileserver does not run (workloads)")
    elif answer.status:
        yield fail(f"cannot ask in the fileserver's pod: {answer.reason}", fix)
    elif answer.read().get("labfiles_nfs_up") != 1:
        yield fail("NFS does not answer for both exports: labs hang when they touch a file", fix)
    else:
        seconds = answer.read().get("labfiles_nfs_answer_seconds", 0.0)
        yield ok(f"both exports answer, in {1000 * seconds:.0f} ms")


def space(state: ClusterState) -> Iterator[Verdict]:
    """Check that the disk has room."""
    answer = state.answers.get("storage")
    if answer is None or answer.status:
        yield skip("the fileserver cannot be asked (workloads)")
        return
    metrics = answer.read()
    least = 1.0
    for unit, what in KINDS.items():
        # Some file systems do not count inodes.
        if not (size := metrics.get(f"labfiles_storage_{unit}")):
            continue
        left = metrics.get(f"labfiles_storage_available_{unit}", 0.0) / size
        least = min(least, left)
        if left < SPARE:
            create = fail if left < LAST else warn
            yield create(
                f"found {left:.1%} of the {what} left on the homes' disk, wanted {SPARE:.0%}",
                "docs/admin/storage.md: who fills the disk, and how to make it larger",
            )
    if least >= SPARE:
        yield ok(f"{least:.0%} of the homes' disk is free")
