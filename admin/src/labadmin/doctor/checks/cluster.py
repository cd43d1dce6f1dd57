"""Checks of the cluster itself: the API, versions, nodes, policies, clocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Verdict, fail, ok, skip, warn
from labadmin.kubectl import Answer
from labadmin.objects import LABS, Object, look_up, manifests, name_of

# The first version in which supplementalGroupsPolicy is enabled by default
OLDEST = (1, 33)
PRESSURES = {"MemoryPressure", "DiskPressure", "PIDPressure"}
CLOCK_SECONDS = 5.0
# kubelet renews the lease of its node every 10 s. After 40 s without renewal the node counts as lost.
LEASE_SECONDS = 40.0
SECURITY = "pod-security.kubernetes.io/"
APPLY = "kubectl apply -f hub/kubernetes/labs-namespace.yaml"
GROUPS_DOC = "docs/admin/settings.md"


def parse_version(version: str) -> tuple[int, int]:
    """Return the first two numbers of a version."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def api(state: ClusterState) -> Iterator[Verdict]:
    """Check that the doctor could read all objects from the API."""
    for unread in state.unread:
        yield fail(
            f"cannot read {unread}", "run the doctor with the credentials that deploy the site (kubectl auth whoami)"
        )
    if not state.unread:
        yield ok(f"Kubernetes {look_up(state.version, 'serverVersion', 'gitVersion')} answers")


def versions(state: ClusterState) -> Iterator[Verdict]:
    """Check the versions of the API server and of kubectl."""
    server, client = (str(look_up(state.version, f"{side}Version", "gitVersion")) for side in ("server", "client"))
    if parse_version(server) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        yield fail(
            f"found Kubernetes {server}, wanted {wanted} or newer: it ignores supplementalGroupsPolicy",
            "upgrade the cluster",
        )
    elif abs(parse_version(server)[1] - parse_version(client)[1]) > 1:
        yield warn(f"found kubectl {client} for Kubernetes {server}, wanted at most one minor version apart",
                    f"install kubectl {server}")  # fmt: skip
    else:
        yield ok(f"Kubernetes {server}, kubectl {client}")


def is_ready(node: Object) -> bool:
    """Return whether a node is ready."""
    conditions = look_up(node, "status", "conditions", default=[])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def nodes(state: ClusterState) -> Iterator[Verdict]:
    """Check that all nodes are ready, accept pods, and have free memory, disk space and process ids."""
    found = state.objects.of("Node")
    ready = 0
    for node in found:
        states = {condition["type"]: condition for condition in look_up(node, "status", "conditions", default=[])}
        name, fix = name_of(node), f"kubectl describe node {name_of(node)}"
        if not is_ready(node):
            yield fail(f"{name} is not ready: {look_up(states, 'Ready', 'message', default='no reason reported')}", fix)
            continue
        ready += 1
        for kind in sorted(PRESSURES & states.keys()):
            if states[kind]["status"] == "True":
                yield warn(f"{name} has {kind}: {states[kind].get('message')}", fix)
        if look_up(node, "spec", "unschedulable"):
            yield warn(f"{name} is cordoned: it accepts no new pods", f"kubectl uncordon {name}")
    if ready and ready == len(found):
        yield ok(f"{ready} nodes are ready")
    if not found:
        yield fail("found no node", "check that kubelet runs on each node")


def groups(state: ClusterState) -> Iterator[Verdict]:
    """Check that the container runtime of each node supports the groups policy of the labs."""
    if not state.objects.find("Deployment", "hub"):
        yield skip("the hub is not deployed")
        return
    policy = state.objects.settings("hub").get("LAB_GROUPS_POLICY") or "Strict"
    found = state.objects.of("Node")
    old = [node for node in found if not look_up(node, "status", "features", "supplementalGroupsPolicy")]
    names = ", ".join(
        f"{name_of(node)} ({look_up(node, 'status', 'nodeInfo', 'containerRuntimeVersion')})" for node in old
    )
    if policy == "Strict" and old:
        fix = (
            'upgrade the nodes to containerd 2, or set groups_policy = "Merge" in [labs] of site.toml and run configure'
        )
        yield fail(
            f"found LAB_GROUPS_POLICY Strict, which these nodes do not support, so no lab starts there: {names}",
            f"{fix} ({GROUPS_DOC})",
        )
    elif policy == "Merge" and not old:
        fix = f"remove groups_policy from [labs] of site.toml and run configure ({GROUPS_DOC})"
        yield warn("found LAB_GROUPS_POLICY Merge, wanted Strict: every node supports it", fix)
    else:
        yield ok(f"LAB_GROUPS_POLICY {policy}, which every node supports")


def pod_security(state: ClusterState) -> Iterator[Verdict]:
    """Check that the labs' namespace has its labels and rejects a privileged pod."""
    namespace = state.objects.find("Namespace", LABS)
    if namespace is None:
        yield fail(f"found no namespace {LABS}", "kubectl apply -f hub/kubernetes")
        return
    yield from check_labels(namespace)
    answer = state.answers.get("privileged")
    if answer is None:
        yield skip("the dry run of a privileged pod was not tried")
    elif "violates PodSecurity" in answer.err:
        yield ok(f"{LABS} rejects a privileged pod")
    elif answer.status == 0:
        fix = f"{APPLY}; if that changes nothing, enable the admission plugin PodSecurity of the API server"
        yield fail(f"{LABS} would accept a privileged pod, wanted it rejected", fix)
    else:
        fix = f"run the doctor as a user who can create pods in {LABS}"
        yield warn(f"cannot check whether {LABS} rejects a privileged pod: {answer.reason}", fix)


def check_labels(namespace: Object) -> Iterator[Verdict]:
    """Check that a namespace has the labels in the manifest."""
    namespaces = [item for item in manifests("hub/kubernetes") if item["kind"] == "Namespace"]
    manifest = next(item for item in namespaces if name_of(item) == LABS)
    has = look_up(namespace, "metadata", "labels", default={})
    for key, value in look_up(manifest, "metadata", "labels").items():
        if key.startswith(SECURITY) and has.get(key) != value:
            create = fail if key.endswith("/enforce") else warn
            message = f"{LABS}: found the label {key}={has.get(key, '')}, wanted {value}"
            yield create(message, APPLY)


def find_offset(clock: float, answer: Answer) -> float:
    """Return the smallest possible difference, in seconds, between a clock and this machine's clock.

    The result is negative if the clock is behind this machine's clock.

    Parameters
    ----------
    clock
        Time that the clock showed at some moment while the command of `answer` ran.
    """
    return max(clock - answer.ended, 0.0) or min(clock - answer.began, 0.0)


def parse_time(text: str) -> float:
    """Return the Unix time of a timestamp in the format of Kubernetes."""
    return datetime.fromisoformat(text).timestamp()


def read_clocks(state: ClusterState) -> dict[str, float]:
    """Return the offset of each clock to this machine's clock in seconds, negative for a clock that is behind."""
    found: dict[str, float] = {}
    if (answer := state.answers.get("time")) and (text := look_up(answer.read(), "metadata", "creationTimestamp")):
        # The timestamp has no fraction of a second, so use the middle of the second.
        found["the API server"] = find_offset(parse_time(text) + 0.5, answer)
    for name, place in (("hub", "the hub's node"), ("probe", "the probe's node")):
        if (answer := state.answers.get(name)) and isinstance(seconds := look_up(answer.read(), "time"), float):
            found[place] = find_offset(seconds, answer)
    ready = {name_of(node) for node in state.objects.of("Node") if is_ready(node)}
    for lease in state.objects.of("Lease"):
        if name_of(lease) in ready and (renewed := look_up(lease, "spec", "renewTime")):
            ahead = parse_time(renewed) - state.now
            # Even with a correct clock, the last renewal can be up to 40 s old. Only a larger age shows that the clock
            # is behind.
            found[f"node {name_of(lease)}"] = max(ahead, 0.0) or min(ahead + LEASE_SECONDS, 0.0)
    return found


def clock(state: ClusterState) -> Iterator[Verdict]:
    """Check that all clocks agree with the clock of this machine."""
    found = read_clocks(state)
    fix = "start NTP (chrony, systemd-timesyncd) on that node, or on this machine if all other clocks agree"
    for place, ahead in found.items():
        if abs(ahead) > CLOCK_SECONDS:
            side = "ahead of" if ahead > 0 else "behind"
            yield fail(
                f"{place}: found a clock {abs(ahead):.0f} s {side} this machine's, wanted up to {CLOCK_SECONDS:.0f} s",
                fix,
            )
    if not found:
        yield skip("no clock could be read")
    elif all(abs(ahead) <= CLOCK_SECONDS for ahead in found.values()):
        worst = max(abs(ahead) for ahead in found.values())
        yield ok(f"{len(found)} clocks within {worst:.1f} s of this machine's")
