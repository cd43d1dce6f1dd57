"""Checks that all objects are deployed, that all workloads run, and that the hub is healthy."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labadmin.checkout import read_version
from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Verdict, fail, ok, skip, warn
from labadmin.objects import (
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
# A site may omit these objects, because nothing else depends on them.
SPARE = {"PodDisruptionBudget", "HorizontalPodAutoscaler"}
SPARE_NAMES = {"prepull", "hub-dashboard"}
IMAGE = re.compile(r"(?:^|/)(jupyterlabdemo[\w-]*):([\w.-]+)$")
WATCH_SECONDS = 120
HEALTHY = 200


def find_folder(component: str, found: Objects) -> str:
    """Return the folder of manifests from which a component was deployed."""
    deployed = found.find("Deployment", "fileserver", NAMESPACE)
    if component == "fileserver" and deployed and not found.serves_nfs:
        return "fileserver/alternatives/hostpath"
    return f"{component}/kubernetes"


def is_deployed(component: str, found: Objects) -> bool:
    """Return whether a workload of a component is deployed."""
    workloads = [item for item in manifests(f"{component}/kubernetes") if item["kind"] in WORKLOADS]
    return any(found.find(item["kind"], name_of(item), namespace_of(item)) for item in workloads)


def objects(state: ClusterState) -> Iterator[Verdict]:
    """Check that all objects in the manifests of each component exist."""
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
        items = manifests(folder)
        missing = [item for item in items if not state.objects.find(item["kind"], name_of(item), namespace_of(item))]
        for item in missing:
            spare = item["kind"] in SPARE or name_of(item) in SPARE_NAMES
            yield (warn if spare else fail)(f"{component}: {describe(item)} is missing", fix)
        if not missing:
            yield ok(f"{component}: all {len(items)} objects exist")


def workloads(state: ClusterState) -> Iterator[Verdict]:
    """Check that all workloads are rolled out, or report the reasons."""
    found = state.objects.workloads()
    running = 0
    for workload in found:
        wanted, ready = counts(workload)
        name = name_of(workload)
        if not wanted and workload["kind"] == "Deployment":
            fix = f"kubectl -n {namespace_of(workload)} scale deployment/{name} --replicas=1"
            yield fail(f"{describe(workload)} is scaled to 0", fix)
            continue
        if ready >= wanted and is_observed(workload):
            running += 1
            continue
        why = "; ".join(dict.fromkeys(reasons(workload, state))) or "no reason reported"
        kind = workload["kind"].lower()
        here = f"kubectl -n {namespace_of(workload)}"
        fix = f"{here} describe {kind}/{name}; its log: {here} logs {kind}/{name}"
        yield fail(f"{describe(workload)}: {ready} of {wanted} ready. {why}", fix)
    if found and running == len(found):
        yield ok(f"{running} Deployments and DaemonSets are rolled out")
    if not found:
        yield fail("found no workload of this project", "deploy the site: docs/admin/deploy.md")


def is_observed(workload: Object) -> bool:
    """Return whether the status of a workload belongs to its current generation."""
    observed: int = look_up(workload, "status", "observedGeneration", default=0)
    current: int = look_up(workload, "metadata", "generation", default=0)
    return observed >= current


def counts(workload: Object) -> tuple[int, int]:
    """Return the number of desired pods of a workload, and of its ready pods with the current template."""
    status = workload.get("status", {})
    if workload["kind"] == "DaemonSet":
        updated = status.get("updatedNumberScheduled", 0)
        return status.get("desiredNumberScheduled", 0), min(updated, status.get("numberAvailable", 0))
    wanted = look_up(workload, "spec", "replicas", default=1)
    return wanted, min(status.get("updatedReplicas", 0), status.get("availableReplicas", 0))


def reasons(workload: Object, state: ClusterState) -> Iterator[str]:
    """Yield the reasons why a workload is not ready."""
    for condition in look_up(workload, "status", "conditions", default=[]):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            yield str(condition.get("message"))
    for pod in state.objects.pods(workload):
        conditions = look_up(pod, "status", "conditions", default=[])
        if not any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions):
            yield from pod_reasons(pod, state)


def pod_reasons(pod: Object, state: ClusterState) -> Iterator[str]:
    """Yield the reasons why a pod is not ready, for example no node, no image, no Secret, or the last log line."""
    for condition in look_up(pod, "status", "conditions", default=[]):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield f"no node: {condition.get('message')}"
            return
    kinds = ("initContainerStatuses", "containerStatuses")
    statuses = [status for kind in kinds for status in look_up(pod, "status", kind, default=[])]
    statuses = [status for status in statuses if not status.get("ready")]
    found = [reason for status in statuses if (reason := container_reason(pod, status, state))]
    if found:
        yield from found
    elif message := last_warning(pod, state.objects):
        yield message
    else:
        waiting = [look_up(status, "state", "waiting", "reason") for status in statuses]
        yield f"{name_of(pod)} is {next(filter(None, waiting), 'not ready yet')}"


def container_reason(pod: Object, status: Object, state: ClusterState) -> str:
    """Return the reason why a container does not run, or an empty text if it is still starting."""
    if line := state.logs.get(f"{name_of(pod)}/{status['name']}"):
        return f"{status['name']} ended with: {line}"
    message: str = look_up(status, "state", "waiting", "message", default="")
    # Leave out the message "back-off 10s restarting ...", because it does not contain the reason.
    return "" if message.startswith("back-off") else message


def last_warning(found: Object, among: Objects) -> str:
    """Return the message of the newest warning event of an object, or an empty text."""
    uid = look_up(found, "metadata", "uid")
    events = [
        event
        for event in among.of("Event")
        if look_up(event, "involvedObject", "uid") == uid and event.get("type") == "Warning"
    ]
    newest = max(events, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""), default={})
    return str(look_up(newest, "message", default=""))


def images(state: ClusterState) -> Iterator[Verdict]:
    """Check that all images of the project have the same version. Different versions may be incompatible."""
    found: dict[str, set[str]] = {}
    for workload in state.objects.workloads():
        for container in containers(workload, ("initContainers", "containers")):
            if match := IMAGE.search(container["image"]):
                found.setdefault(match[2], set()).add(match[1])
    versions = "; ".join(f"{tag} of {', '.join(sorted(names))}" for tag, names in sorted(found.items()))
    if not found:
        yield skip("found no image of this project with a version")
    elif len(found) > 1:
        yield fail(
            f"found several versions: {versions}; wanted one version",
            "apply all components from one checkout: kubectl apply -f <component>/kubernetes",
        )
    elif read_version() not in found:
        yield warn(
            f"found version {versions}; this checkout has version {read_version()}",
            f"run the doctor from the deployed version (git checkout {next(iter(found))}), or upgrade the site",
        )
    else:
        yield ok(f"all images have version {read_version()}")


def hub(state: ClusterState) -> Iterator[Verdict]:
    """Check the health of the hub, and count the labs."""
    answer = state.answers.get("hub")
    log = f"kubectl -n {NAMESPACE} logs deployment/hub"
    if answer is None:
        yield skip("the hub does not run (see workloads)")
        return
    report = answer.read()
    if answer.status or not report:
        yield fail(f"cannot run a program in the hub's pod: {answer.reason}", log)
    elif report["health"] != HEALTHY:
        status = f"status {report['health']}" if report["health"] else "no answer"
        yield fail(f"the health check of the hub failed: {status}, {report['said']}", log)
    elif report["metrics"] or report["watch_age"] < 0:
        yield fail(
            f"found no labhub_watch_age_seconds in the hub's metrics ({report['metrics'] or 'it is missing'}):"
            " neither the doctor nor an alert can detect that the Kubernetes API does not answer the hub",
            f"{log}; then kubectl -n {NAMESPACE} rollout restart deployment/hub",
        )
    elif report["watch_age"] > WATCH_SECONDS:
        yield fail(
            f"the Kubernetes API has not answered the hub for {report['watch_age']:.0f} s: no lab can start", log
        )
    else:
        labs = sum(report["labs"].values())
        running = report["labs"].get('state="running"', 0)
        yield ok(f"the hub is healthy; {labs:.0f} labs, {running:.0f} of them running")
