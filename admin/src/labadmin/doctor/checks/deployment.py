"""What was deployed: whether it is all there, and runs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labadmin.checkout import read_version
from labadmin.doctor.cluster_state import Facts
from labadmin.doctor.findings import Verdict, doubt, skipped, well, wrong
from labadmin.doctor.objects import (
    NAMESPACE,
    WORKLOADS,
    Object,
    Objects,
    containers,
    describe,
    manifests,
    name_of,
    part,
    space_of,
)

REQUIRED = ("hub", "fileserver", "nginx")
OPTIONAL = ("logstashrmq", "filebeat")
# A site may leave these out: nothing else leans on them.
SPARE = {"PodDisruptionBudget", "HorizontalPodAutoscaler"}
SPARE_NAMES = {"prepull", "hub-dashboard"}
IMAGE = re.compile(r"(?:^|/)(jupyterlabdemo[\w-]*):([\w.-]+)$")
WATCH_SECONDS = 120
HEALTHY = 200


def folder_of(component: str, found: Objects) -> str:
    """Name the folder that a component was applied from."""
    deployed = found.find("Deployment", "fileserver", NAMESPACE)
    if component == "fileserver" and deployed and not found.serves_nfs:
        return "fileserver/alternatives/hostpath"
    return f"{component}/kubernetes"


def is_deployed(component: str, found: Objects) -> bool:
    """Tell whether something of a component's runs pods here."""
    meant = [one for one in manifests(f"{component}/kubernetes") if one["kind"] in WORKLOADS]
    return any(found.find(one["kind"], name_of(one), space_of(one)) for one in meant)


def objects(facts: Facts) -> Iterator[Verdict]:
    """Look whether all objects of each component are there."""
    for component in (*REQUIRED, *OPTIONAL):
        folder = folder_of(component, facts.objects)
        fix = f"kubectl apply -f {folder}"
        if not is_deployed(component, facts.objects):
            yield (
                wrong(f"{component} is not deployed", fix)
                if component in REQUIRED
                else skipped(f"{component} is not deployed: no logs are shipped to RabbitMQ")
            )
            continue
        meant = manifests(folder)
        missing = [one for one in meant if not facts.objects.find(one["kind"], name_of(one), space_of(one))]
        for one in missing:
            spare = one["kind"] in SPARE or name_of(one) in SPARE_NAMES
            yield (doubt if spare else wrong)(f"{component}: {describe(one)} is missing", fix)
        if not missing:
            yield well(f"{component}: all {len(meant)} are there")


def workloads(facts: Facts) -> Iterator[Verdict]:
    """Look whether everything runs as it is meant to, and if not why."""
    found = facts.objects.workloads()
    running = 0
    for one in found:
        wanted, ready = counts(one)
        if not wanted and one["kind"] == "Deployment":
            fix = f"kubectl -n {space_of(one)} scale deployment/{name_of(one)} --replicas=1"
            yield wrong(f"{describe(one)} is scaled to 0", fix)
            continue
        if ready >= wanted and is_observed(one):
            running += 1
            continue
        why = "; ".join(dict.fromkeys(reasons(one, facts))) or "nothing says why"
        kind = one["kind"].lower()
        here = f"kubectl -n {space_of(one)}"
        fix = f"{here} describe {kind}/{name_of(one)}; its log: {here} logs {kind}/{name_of(one)}"
        yield wrong(f"{describe(one)}: {ready} of {wanted} ready. {why}", fix)
    if found and running == len(found):
        yield well(f"{running} Deployments and DaemonSets are rolled out")
    if not found:
        yield wrong("found nothing of ours", "kubectl apply -f hub/kubernetes, and so on: README.md")


def is_observed(workload: Object) -> bool:
    """Tell whether what is said of a workload is said of what was last applied."""
    seen: int = part(workload, "status", "observedGeneration", default=0)
    meant: int = part(workload, "metadata", "generation", default=0)
    return seen >= meant


def counts(workload: Object) -> tuple[int, int]:
    """Give how many pods are wanted, and how many of the newest kind are ready."""
    status = workload.get("status", {})
    if workload["kind"] == "DaemonSet":
        updated = status.get("updatedNumberScheduled", 0)
        return status.get("desiredNumberScheduled", 0), min(updated, status.get("numberAvailable", 0))
    wanted = part(workload, "spec", "replicas", default=1)
    return wanted, min(status.get("updatedReplicas", 0), status.get("availableReplicas", 0))


def reasons(workload: Object, facts: Facts) -> Iterator[str]:
    """Say why a workload does not run."""
    for one in part(workload, "status", "conditions", default=[]):
        if one["type"] == "ReplicaFailure" and one["status"] == "True":
            yield str(one.get("message"))
    for pod in facts.objects.pods(workload):
        if not any(
            one["type"] == "Ready" and one["status"] == "True" for one in part(pod, "status", "conditions", default=[])
        ):
            yield from pod_reasons(pod, facts)


def pod_reasons(pod: Object, facts: Facts) -> Iterator[str]:
    """Say why a pod is not ready: no node, no image, no Secret, what it last wrote."""
    for one in part(pod, "status", "conditions", default=[]):
        if one["type"] == "PodScheduled" and one["status"] == "False":
            yield f"no node: {one.get('message')}"
            return
    kinds = ("initContainerStatuses", "containerStatuses")
    states = [one for kind in kinds for one in part(pod, "status", kind, default=[]) if not one.get("ready")]
    told = [reason for state in states if (reason := container_reason(pod, state, facts))]
    if told:
        yield from told
    elif message := last_warning(pod, facts.objects):
        yield message
    else:
        waiting = [part(state, "state", "waiting", "reason") for state in states]
        yield f"{name_of(pod)} is {next(filter(None, waiting), 'not ready yet')}"


def container_reason(pod: Object, state: Object, facts: Facts) -> str:
    """Say why a container does not run; nothing if it only has not begun yet."""
    if line := facts.logs.get(f"{name_of(pod)}/{state['name']}"):
        return f"{state['name']} ended with: {line}"
    message: str = part(state, "state", "waiting", "message", default="")
    # "back-off 10s restarting ..." says nothing new.
    return "" if message.startswith("back-off") else message


def last_warning(found: Object, among: Objects) -> str:
    """Give the newest warning that was reported of an object."""
    uid = part(found, "metadata", "uid")
    events = [
        one for one in among.of("Event") if part(one, "involvedObject", "uid") == uid and one.get("type") == "Warning"
    ]
    newest = max(events, key=lambda one: str(one.get("lastTimestamp") or one.get("eventTime") or ""), default={})
    return str(part(newest, "message", default=""))


def images(facts: Facts) -> Iterator[Verdict]:
    """Look whether all our images are of one version: what they say to each other changes between them."""
    found: dict[str, set[str]] = {}
    for workload in facts.objects.workloads():
        for one in containers(workload, ("initContainers", "containers")):
            if match := IMAGE.search(one["image"]):
                found.setdefault(match[2], set()).add(match[1])
    told = "; ".join(f"{tag} of {', '.join(sorted(names))}" for tag, names in sorted(found.items()))
    if not found:
        yield skipped("no image of ours is deployed under a version")
    elif len(found) > 1:
        yield wrong(
            f"found several versions: {told}; wanted one",
            "apply all components from one checkout: kubectl apply -f <component>/kubernetes",
        )
    elif read_version() not in found:
        yield doubt(
            f"found version {told}; this checkout is {read_version()}", f"git checkout {next(iter(found))}, or upgrade"
        )
    else:
        yield well(f"all are {read_version()}")


def hub(facts: Facts) -> Iterator[Verdict]:
    """Look whether the hub is well, and how many labs there are."""
    answer = facts.answers.get("hub")
    log = f"kubectl -n {NAMESPACE} logs deployment/hub"
    if answer is None:
        yield skipped("the hub does not run (workloads)")
        return
    told = answer.read()
    if answer.status or not told:
        yield wrong(f"cannot ask in the hub's pod: {answer.why}", log)
    elif told["health"] != HEALTHY:
        yield wrong(f"the hub answers {told['health'] or 'nothing'} to its health check: {told['said']}", log)
    elif told["metrics"] or told["watch_age"] < 0:
        yield wrong(
            f"found no labhub_watch_age_seconds in the hub's metrics ({told['metrics'] or 'they answer without it'}):"
            " whether Kubernetes answers the hub is not known, and no alert will tell",
            f"{log}; then kubectl -n {NAMESPACE} rollout restart deployment/hub",
        )
    elif told["watch_age"] > WATCH_SECONDS:
        yield wrong(
            f"the API of Kubernetes has not answered the hub for {told['watch_age']:.0f} s: no lab can start", log
        )
    else:
        labs = sum(told["labs"].values())
        running = told["labs"].get('state="running"', 0)
        yield well(f"the hub is well; {labs:.0f} labs, {running:.0f} of them running")
