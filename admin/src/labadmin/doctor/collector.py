"""The collector of the cluster's state. It makes all requests of the doctor, in parallel."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from labadmin.doctor import front_page, probe_pod
from labadmin.doctor.checks.data_protection import list_protected
from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Verdict, fail
from labadmin.kubectl import REQUEST_TIMEOUT, Answer, Kubectl
from labadmin.objects import LABS, NAMESPACE, Object, Objects, look_up, name_of, namespace_of

PART_OF = f"app.kubernetes.io/part-of={NAMESPACE}"
KINDS = (
    "deployments,daemonsets,pods,services,secrets,configmaps,persistentvolumeclaims,networkpolicies,serviceaccounts,"
    "roles,rolebindings,events,poddisruptionbudgets,horizontalpodautoscalers,cronjobs"
)
READ: tuple[tuple[str, ...], ...] = (
    ("nodes,csidrivers,csinodes,namespaces,persistentvolumes,storageclasses",),
    ("clusterroles,clusterrolebindings", "--selector", PART_OF),
    ("validatingadmissionpolicies,validatingadmissionpolicybindings", "--selector", PART_OF),
    ("leases", "--namespace", "kube-node-lease"),
    ("services", "--namespace", "default", "--field-selector", "metadata.name=kubernetes"),
    (KINDS, "--namespace", NAMESPACE),
    (KINDS, "--namespace", LABS),
)
AT_ONCE = 8
LOGS_AT_MOST = 8
# kubelet returns this text in place of a log that it has removed.
NO_LOG = "unable to retrieve container logs"


class UnreachableError(Exception):
    """No cluster answers. `verdict` has the reason and the fix."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.what)
        self.verdict = verdict


def read_version(kubectl: Kubectl) -> dict[str, dict[str, str]]:
    """Return the versions of kubectl and of the API server.

    Raises
    ------
    UnreachableError
        Raised if the API does not answer, or if kubectl is not installed.
    """
    if not kubectl.is_there():
        fix = "install kubectl: https://kubernetes.io/docs/tasks/tools/"
        raise UnreachableError(fail("found no kubectl on the PATH", fix))
    answer = kubectl.run("version", "--output", "json", "--request-timeout=5s", seconds=10)
    version: dict[str, dict[str, str]] = answer.read()
    if "serverVersion" not in version:
        fix = "check that KUBECONFIG or --context names the cluster, and that its API server runs: kubectl version"
        raise UnreachableError(fail(f"the Kubernetes API does not answer: {answer.reason}", fix))
    return version


def read_objects(kubectl: Kubectl, pool: ThreadPoolExecutor) -> ClusterState:
    """Return a state with all objects that the checks need."""
    version = pool.submit(read_version, kubectl)
    jobs = [(what, pool.submit(kubectl.get, *what)) for what in READ]
    found = version.result()
    items: list[Object] = []
    unread = []
    for what, job in jobs:
        answer = job.result()
        # kubectl returns the kinds that the user may read, even if others are forbidden.
        items += look_up(answer.read(), "items", default=[])
        if answer.status:
            unread.append(f"{what[0] if len(what[0]) < 40 else what[-1]}: {answer.reason}")
    return ClusterState(Objects(items), time.time(), found, tuple(unread))


def privileged_pod() -> Object:
    """Return a pod that the labs' namespace must reject."""
    container = {"name": "x", "image": "x", "securityContext": {"privileged": True}}
    metadata = {"name": "doctor-privileged", "namespace": LABS}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def try_privileged(kubectl: Kubectl, _: ClusterState) -> Answer | None:
    """Send a privileged pod in a dry run, which creates nothing."""
    create = ["create", "--dry-run=server", "--filename", "-", REQUEST_TIMEOUT]
    return kubectl.run(*create, stdin=json.dumps(privileged_pod()))


def try_deletion(kubectl: Kubectl, state: ClusterState) -> Answer | None:
    """Delete the data in a dry run, which deletes nothing. Return None if the site is not deployed."""
    found = [f"{item['kind'].lower()}/{name_of(item)}" for item in list_protected(state.objects)]
    delete = ["delete", "--dry-run=server", "--output", "name", "--namespace", NAMESPACE, REQUEST_TIMEOUT]
    return kubectl.run(*delete, *found) if found else None


def ask_time(kubectl: Kubectl, _: ClusterState) -> Answer | None:
    """Create a ConfigMap in a dry run, and return it. Its creation timestamp is the time of the API server."""
    create = ["create", "configmap", "doctor-time", "--namespace", NAMESPACE, "--dry-run=server", "--output", "json"]
    return kubectl.run(*create, REQUEST_TIMEOUT)


def run_probe(kubectl: Kubectl, state: ClusterState) -> Answer | None:
    """Run the probe in the labs' namespace. Return None if the hub is not deployed."""
    if not state.hub_image or not state.objects.find("Namespace", LABS):
        return None
    if any(look_up(pod, "metadata", "labels") == probe_pod.LABELS for pod in state.objects.of("Pod", LABS)):
        probe_pod.remove_pods(kubectl)
    return probe_pod.run_pod(kubectl, state.hub_image, state.objects)


def ask_hub(kubectl: Kubectl, state: ClusterState) -> Answer | None:
    """Check the health of the hub in its pod."""
    return run_program(kubectl, state, "hub", "hub", "python", "hub")


def ask_github(kubectl: Kubectl, state: ClusterState) -> Answer | None:
    """Check GitHub from the hub's pod."""
    return run_program(kubectl, state, "hub", "hub", "python", "github")


def ask_storage(kubectl: Kubectl, state: ClusterState) -> Answer | None:
    """Run an NFS operation in the fileserver's pod, and read the size of its disk."""
    return run_program(kubectl, state, "fileserver", "labfiles", "/opt/labfiles/bin/python", "storage")


def ask_broker(kubectl: Kubectl, state: ClusterState) -> Answer | None:
    """Publish a message from the relay's pod, and wait for the broker's confirm."""
    if not state.objects.runs("logstashrmq", "relay"):
        return None
    settings = state.objects.settings("logstashrmq")
    key = re.sub(r"%\{[^}]*\}", "unknown", settings.get("AMQP_ROUTING_KEY") or "logs")
    route = ["--route", f"{settings['AMQP_EXCHANGE']}/{key}"] if settings.get("AMQP_EXCHANGE") else []
    check = ["/opt/relay/bin/python", "-m", "beatsrelay", "--check", *route]
    return kubectl.run("exec", "deployment/logstashrmq", "--namespace", NAMESPACE, "--", *check, seconds=30)


def request_front(_: Kubectl, state: ClusterState) -> Answer | None:
    """Request the front page from this machine."""
    if not state.callback or not state.objects.find("Service", "nginx", NAMESPACE):
        return None
    return front_page.request_front_page(state.callback, state.objects)


def run_program(
    kubectl: Kubectl, state: ClusterState, deployment: str, container: str, python: str, name: str
) -> Answer | None:
    """Run one of the `pod_programs` in a pod of a Deployment. Return None if no pod is running."""
    if not state.objects.runs(deployment, container):
        return None
    there = ["exec", f"deployment/{deployment}", "--namespace", NAMESPACE, "--container", container]
    return kubectl.run(*there, "--", python, "-c", probe_pod.read_program(name), seconds=25)


Experiment = Callable[[Kubectl, ClusterState], Answer | None]
EXPERIMENTS: dict[str, Experiment] = {
    "probe": run_probe,
    "broker": ask_broker,
    "github": ask_github,
    "storage": ask_storage,
    "hub": ask_hub,
    "front": request_front,
    "privileged": try_privileged,
    "deletion": try_deletion,
    "time": ask_time,
}


def find_failed_containers(objects: Objects) -> list[tuple[Object, dict[str, Any]]]:
    """Return the failed containers with their pods."""
    found = [
        (pod, status)
        for workload in objects.workloads()
        for pod in objects.pods(workload)
        for kind in ("initContainerStatuses", "containerStatuses")
        for status in look_up(pod, "status", kind, default=[])
        if not status.get("ready") and status.get("restartCount")
    ]
    return found[:LOGS_AT_MOST]


def read_last_line(kubectl: Kubectl, pod: Object, status: dict[str, Any]) -> str:
    """Return the last line that a container wrote before it failed."""
    which = [name_of(pod), "--container", status["name"], "--namespace", namespace_of(pod), "--tail=5", REQUEST_TIMEOUT]
    # If a failed container has restarted and runs again, its previous log has the reason. If it waits for a restart,
    # kubelet may have removed the previous log.
    for how in (["--previous"], []) if "running" in look_up(status, "state", default={}) else ([], ["--previous"]):
        answer = kubectl.run("logs", *which, *how)
        line = answer.out.strip().rpartition("\n")[2]
        if not answer.status and line and not line.startswith(NO_LOG):
            return line
    return ""


def collect_state(kubectl: Kubectl, experiments: Collection[str]) -> ClusterState:
    """Read the cluster, run the experiments and return the state.

    Raises
    ------
    UnreachableError
        Raised if no cluster answers.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        state = read_objects(kubectl, pool)
        jobs = {name: pool.submit(do, kubectl, state) for name, do in EXPERIMENTS.items() if name in experiments}
        logs = {
            f"{name_of(pod)}/{status['name']}": pool.submit(read_last_line, kubectl, pod, status)
            for pod, status in find_failed_containers(state.objects)
        }
        try:
            answers = {name: answer for name, job in jobs.items() if (answer := job.result())}
        except BaseException:
            kubectl.stop()  # so that the thread that waits for the probe removes it
            raise
        return replace(state, answers=answers, logs={name: job.result() for name, job in logs.items()})
