"""Checks of the storage: the CSI driver, the claims, the fileserver, the disk."""

from __future__ import annotations

from collections.abc import Iterator

from labadmin.doctor.checks.deployment import find_folder, last_warning
from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Verdict, fail, ok, skip, warn
from labadmin.objects import LABS, NAMESPACE, Object, describe, look_up, manifests, name_of, namespace_of

DRIVER = "nfs.csi.k8s.io"
INSTALL = (
    "install it: https://github.com/kubernetes-csi/csi-driver-nfs, or use volumes without it: docs/admin/storage.md"
)
SPARE, LAST = 0.10, 0.01
# The fileserver's answers to a request with an unknown path. It checks the token first: with a correct token, it
# answers 404.
ACCEPTED, REFUSED = 404, 401
KINDS = {"bytes": "space", "inodes": "inodes"}


def driver(state: ClusterState) -> Iterator[Verdict]:
    """Check that the CSI driver of the labs' volumes is installed on every node."""
    volumes = [
        volume
        for volume in state.objects.of("PersistentVolume")
        if look_up(volume, "spec", "claimRef", "namespace") == LABS
    ]
    if not any(look_up(volume, "spec", "csi", "driver") == DRIVER for volume in volumes):
        yield skip(f"the labs' volumes do not use {DRIVER}" if volumes else "found no volume of the labs")
        return
    if not state.objects.find("CSIDriver", DRIVER):
        yield fail(f"the volumes use the CSI driver {DRIVER}, which the cluster does not have: no lab starts", INSTALL)
        return
    without = [name_of(node) for node in state.objects.of("CSINode") if DRIVER not in drivers(node)]
    if without:
        fix = "check that a pod of the driver runs on every node: kubectl get pods -A -l app=csi-nfs-node -o wide"
        yield fail(f"the CSI driver {DRIVER} is not on {', '.join(without)}: labs do not start there", fix)
    else:
        yield ok(f"{DRIVER} is on every node")


def drivers(node: Object) -> set[str]:
    """Return the names of the CSI drivers on a node."""
    return {str(entry["name"]) for entry in look_up(node, "spec", "drivers", default=[])}


def claims(state: ClusterState) -> Iterator[Verdict]:
    """Check that every PersistentVolumeClaim is bound."""
    components = ("hub", "fileserver")
    wanted = [
        item
        for name in components
        for item in manifests(find_folder(name, state.objects))
        if item["kind"] == "PersistentVolumeClaim"
    ]
    found = [state.objects.find(item["kind"], name_of(item), namespace_of(item)) for item in wanted]
    existing = [claim for claim in found if claim is not None]
    for claim in existing:
        phase = look_up(claim, "status", "phase")
        if phase != "Bound":
            why = last_warning(claim, state.objects) or "no reason reported"
            describe_claim = f"kubectl -n {namespace_of(claim)} describe pvc {name_of(claim)}"
            fix = f"{describe_claim}; check that one StorageClass is the default: kubectl get storageclass"
            yield fail(f"{describe(claim)}: found {phase}, wanted Bound: {why}", fix)
    if existing and all(look_up(claim, "status", "phase") == "Bound" for claim in existing):
        yield ok(f"{len(existing)} claims are bound")
    if not existing:
        yield skip("found no claim (see objects)")


def homes(state: ClusterState) -> Iterator[Verdict]:
    """Check that the fileserver accepts the hub's token, which the hub needs to create homes."""
    answer = state.answers.get("hub")
    if answer is None or answer.status:
        yield skip("the hub does not run (see workloads)")
        return
    status, reason = answer.read()["fileserver"]
    if status == ACCEPTED:
        yield ok("the fileserver accepts the hub's token")
        return
    restart = f"kubectl -n {NAMESPACE} rollout restart deployment/hub deployment/fileserver"
    fix = f"kubectl -n {NAMESPACE} logs deployment/fileserver -c labfiles"
    if status == REFUSED:
        fix = f"write the same FILESERVER_TOKEN into the Secrets hub and fileserver (see tokens), then {restart}"
    problem = f"answers the hub with {status} {reason}" if status else f"does not answer the hub: {reason}"
    yield fail(f"the fileserver {problem}; the hub cannot create homes", fix)


def nfs(state: ClusterState) -> Iterator[Verdict]:
    """Check that the NFS server answers for both exports."""
    if state.objects.find("Deployment", "fileserver", NAMESPACE) and not state.objects.serves_nfs:
        yield skip("homes are in a folder of the node (fileserver/alternatives/hostpath)")
        return
    answer = state.answers.get("storage")
    fix = f"kubectl -n {NAMESPACE} logs deployment/fileserver -c server"
    if answer is None:
        yield skip("the fileserver does not run (see workloads)")
    elif answer.status:
        yield fail(f"cannot run a program in the fileserver's pod: {answer.reason}", fix)
    elif answer.read().get("labfiles_nfs_up") != 1:
        yield fail("NFS does not answer for both exports: labs hang when they access a file", fix)
    else:
        seconds = answer.read().get("labfiles_nfs_answer_seconds", 0.0)
        yield ok(f"both exports answer, in {1000 * seconds:.0f} ms")


def space(state: ClusterState) -> Iterator[Verdict]:
    """Check that the disk of the homes has free space and free inodes."""
    answer = state.answers.get("storage")
    if answer is None or answer.status:
        yield skip("cannot read the metrics of the fileserver (see workloads)")
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
                f"found {left:.1%} of the {what} free on the homes' disk, wanted at least {SPARE:.0%}",
                "find the largest folders and enlarge the disk: docs/admin/storage.md",
            )
    if least >= SPARE:
        yield ok(f"{least:.0%} of the homes' disk is free")
