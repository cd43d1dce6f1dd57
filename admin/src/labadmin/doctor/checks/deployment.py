"""Checks of the deployed objects: all exist, and all workloads run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labadmin.checkout import read_version
from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Verdict, fail, ok, skip, warn
from labadmin.doctor.objects import (
    NAMESPACE,
    WORKLOADS,
    Object,
    Objects,
    containers,
    describe,
    look_up,
    manifests,
    name_of,
    namespace_of,
)

REQUIRED = ("hub", "fileserver", "nginx")
OPTIONAL = ("logstashrmq", "filebeat")
# A site may omit these: nothing else depends on them.
SPARE = {"PodDisruptionBudget", "HorizontalPodAutoscaler"}
SPARE_NAMES = {"prepull", "hub-dashboard"}
IMAGE = re.compile(r"(?:^|/)(jupyterlabdemo[\w-]*):([\w.-]+)$")
WATCH_SECONDS = 120
HEALTHY = 200


def find_folder(component: str, found: Objects) -> str:
    """Return the folder that a component was applied from."""
    deployed = found.find("Deployment", "fileserver", NAMESPACE)
    if component == "fileserver" and deployed and not found.serves_nfs:
        return "fileserver/alternatives/hostpath"
    return f"{component}/kubernetes"


def is_deployed(component: str, found: Objects) -> bool:
    """Return whether a workload of a component is deployed."""
    meant = [one for one in manifests(f"{component}/kubernetes") if one["kind"] in WORKLOADS]
    return any(found.find(one["kind"], name_of(one), namespace_of(one)) for one in meant)


def objects(state: ClusterState) -> Iterator[Verdict]:
    """Check that all objects of each component exist."""
    for component in (*REQUIRED, *OPTIONAL):
        folder = find_folder(component, state.objects)
        fix = f"kubectl apply -f {folder}"
        if not is_deployed(component, state.objects):
            yield (
                fail(f"{component} is not deployed", fix)
                if component in REQUIRED
                else skip(f"{component} is not deployed: no logs are shipped to RabbitMQ")
            )
            continue
        meant = manifests(folder)
        missing = [one for one in meant if not state.objects.find(one["kind"], name_of(one), namespace_of(one))]
        for one in missing:
            spare = one["kind"] in SPARE or name_of(one) in SPARE_NAMES
            yield (warn if spare else fail)(f"{component}: {describe(one)} is missing", fix)
        if not missing:
            yield ok(f"{component}: all {len(meant)} are there")


def workloads(state: ClusterState) -> Iterator[Verdict]:
    """Check that all workloads are rolled out, else report the reasons."""
    found = state.objects.workloads()
    running = 0
    for one in found:
        wanted, ready = counts(one)
        if not wanted and one["kind"] == "Deployment":
            fix = f"kubectl -n {namespace_of(one)} scale deployment/{name_of(one)} --replicas=1"
            yield fail(f"{describe(one)} is scaled to 0", fix)
            continue
        if ready >= wanted and is_observed(one):
            running += 1
            continue
        why = "; ".join(dict.fromkeys(reasons(one, state))) or "no reason reported"
        kind = one["kind"].lower()
        here = f"kubectl -n {namespace_of(one)}"
        fix = f"{here} describe {kind}/{name_of(one)}; its log: {here} logs {kind}/{name_of(one)}"
        yield fail(f"{describe(one)}: {ready} of {wanted} ready. {why}", fix)
    if found and running == len(found):
        yield ok(f"{running} Deployments and DaemonSets are rolled out")
    if not found:
        yield fail("found nothing of ours", "kubectl apply -f hub/kubernetes, and so on: README.md")


def is_observed(workload: Object) -> bool:
    """Return whether the status of a workload is that of its current generation."""
    seen: int = look_up(workload, "status", "observedGeneration", default=0)
    meant: int = look_up(workload, "metadata", "generation", default=0)
    return seen >= meant


def counts(workload: Object) -> tuple[int, int]:
    """Return the number of desired pods, and of ready pods of the current template."""
    status = workload.get("status", {})
    if workload["kind"] == "DaemonSet":
        updated = status.get("updatedNumberScheduled", 0)
        return status.get("desiredNumberScheduled", 0), min(updated, status.get("numberAvailable", 0))
    wanted = look_up(workload, "spec", "replicas", default=1)
    return wanted, min(status.get("updatedReplicas", 0), status.get("availableReplicas", 0))


def reasons(workload: Object, state: ClusterState) -> Iterator[str]:
    """Yield the reasons why a workload is not ready."""
    for one in look_up(workload, "status", "conditions", default=[]):
        if one["type"] == "ReplicaFailure" and one["status"] == "True":
            yield str(one.get("message"))
    for pod in state.objects.pods(workload):
        conditions = look_up(pod, "status", "conditions", default=[])
        if not any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
            yield from pod_reasons(pod, state)


def pod_reasons(pod: Object, state: ClusterState) -> Iterator[str]:
    """Yield the reasons why a pod is not ready: no node, no image, no Secret, the last line of its log."""
    for one in look_up(pod, "status", "conditions", default=[]):
        if one["type"] == "PodScheduled" and one["status"] == "False":
            yield f"no node: {one.get('message')}"
            return
    kinds = ("initContainerStatuses", "containerStatuses")
    statuses = [one for kind in kinds for one in look_up(pod, "status", kind, default=[]) if not one.get("ready")]
    found = [reason for status in statuses if (reason := container_reason(pod, status, state))]
    if found:
        yield from found
    elif message := last_warning(pod, state.objects):
        yield message
    else:
        waiting = [look_up(status, "state", "waiting", "reason") for status in statuses]
        yield f"{name_of(pod)} is {next(filter(None, waiting), 'not ready yet')}"


def container_reason(pod: Object, status: Object, state: ClusterState) -> str:
    """Return the reason why a container does not run, empty if it is still starting."""
    if line := state.logs.get(f"{name_of(pod)}/{status['name']}"):
        return f"{status['name']} ended with: {line}"
    message: str = look_up(status, "state", "waiting", "message", default="")
    # "back-off 10s restarting ..." has no reason in it.
    return "" if message.startswith("back-off") else message


def last_warning(found: Object, among: Objects) -> str:
    """Return the newest warning event of an object."""
    uid = look_up(found, "metadata", "uid")
    events = [
        one
        for one in among.of("Event")
        if look_up(one, "involvedObject", "uid") == uid and one.get("type") == "Warning"
    ]
    newest = max(events, key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""), default={})
    return str(look_up(newest, "message", default=""))


def images(state: ClusterState) -> Iterator[Verdict]:
    """Check that all our images have one version. Different versions may not understand each other."""
    found: dict[str, set[str]] = {}
    for workload in state.objects.workloads():
        for one in containers(workload, ("initContainers", "containers")):
            if match := IMAGE.search(one["image"]):
                found.setdefault(match[2], set()).add(match[1])
    versions = "; ".join(f"{tag} of {', '.join(sorted(names))}" for tag, names in sorted(found.items()))
    if not found:
        yield skip("no image of ours is deployed under a version")
    elif len(found) > 1:
        yield fail(
            f"found several versions: {versions}; wanted one",
            "apply all components from one checkout: kubectl apply -f <component>/kubernetes",
        )
    elif read_version() not in found:
        yield warn(
            f"found version {versions}; this checkout is {read_version()}",
            f"git checkout {next(iter(found))}, or upgrade",
        )
    else:
        yield ok(f"all are {read_version()}")


def hub(state: ClusterState) -> Iterator[Verdict]:
    """Check the health of the hub, and count the labs."""
    answer = state.answers.get("hub")
    log = f"kubectl -n {NAMESPACE} logs deployment/hub"
    if answer is None:
        yield skip("the hub does not run (workloads)")
        return
    report = answer.read()
    if answer.status or not report:
        yield fail(f"cannot ask in the hub's pod: {answer.reason}", log)
    elif report["health"] != HEALTHY:
        yield fail(f"the hub answers {report['health'] or 'nothing'} to its health check: {report['said']}", log)
    elif report["metrics"] or report["watch_age"] < 0:
        yield fail(
            f"found no labhub_watch_age_seconds in the hub's metrics ({report['metrics'] or 'they answer without it'}):"
            " whether Kubernetes answers the hub is not known, and no alert will tell",
            f"{log}; then kubectl -n {NAMESPACE} rollout restart deployment/hub",
        )
    elif report["watch_age"] > WATCH_SECONDS:
        yield fail(
            f"the API of Kubernetes has not answered the hub for {report['watch_age']:.0f} s: no lab can start", log
        )
    else:
        labs = sum(report["labs"].values())
        running = report["labs"].get('state="running"', 0)
        yield ok(f"the hub is well; {labs:.0f} labs, {running:.0f} of them running")
