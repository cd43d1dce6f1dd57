"""Checks of the cluster itself: the API, versions, nodes, policies, clocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Verdict, fail, ok, skip, warn
from labadmin.doctor.kubectl import Answer
from labadmin.doctor.objects import LABS, Object, look_up, manifests, name_of

# The first version with supplementalGroupsPolicy on by default
OLDEST = (1, 33)
PRESSURES = {"MemoryPressure", "DiskPressure", "PIDPressure"}
CLOCK_SECONDS = 5.0
# A node renews its lease every 10 s, and counts as lost after 40 s.
LEASE_SECONDS = 40.0
SECURITY = "pod-security.kubernetes.io/"
APPLY = "kubectl apply -f hub/kubernetes/labs-namespace.yaml"
GROUPS_DOC = "docs/admin/settings.md, LAB_GROUPS_POLICY"


def parse_version(version: str) -> tuple[int, int]:
    """Return the first two numbers of a version."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def api(state: ClusterState) -> Iterator[Verdict]:
    """Check that all objects could be read."""
    for unread in state.unread:
        yield fail(f"cannot read {unread}", "run the doctor as the user who deploys (kubectl auth whoami)")
    if not state.unread:
        yield ok(f"Kubernetes {look_up(state.version, 'serverVersion', 'gitVersion')} answers")


def versions(state: ClusterState) -> Iterator[Verdict]:
    """Check the versions of the API server and of kubectl."""
    server, client = (str(look_up(state.version, f"{one}Version", "gitVersion")) for one in ("server", "client"))
    if parse_version(server) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        yield fail(
            f"found Kubernetes {server}, wanted {wanted} or newer: it ignores the policy of groups", "upgrade it"
        )
    elif abs(parse_version(server)[1] - parse_version(client)[1]) > 1:
        yield warn(f"found kubectl {client} for Kubernetes {server}, wanted one minor version apart at most",
                    f"install kubectl {server}")  # fmt: skip
    else:
        yield ok(f"Kubernetes {server}, kubectl {client}")


def is_ready(node: Object) -> bool:
    """Return whether a node is ready."""
    conditions = look_up(node, "status", "conditions", default=[])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def nodes(state: ClusterState) -> Iterator[Verdict]:
    """Check that all nodes are ready and have room."""
    found = state.objects.of("Node")
    ready = 0
    for node in found:
        states = {one["type"]: one for one in look_up(node, "status", "conditions", default=[])}
        name, fix = name_of(node), f"kubectl describe node {name_of(node)}"
        if not is_ready(node):
            yield fail(f"{name} is not ready: {look_up(states, 'Ready', 'message', default='no reason reported')}", fix)
            continue
        ready += 1
        for kind in sorted(PRESSURES & states.keys()):
            if states[kind]["status"] == "True":
                yield warn(f"{name} has {kind}: {states[kind].get('message')}", fix)
        if look_up(node, "spec", "unschedulable"):
            yield warn(f"{name} takes no new pods", f"kubectl uncordon {name}")
    if ready and ready == len(found):
        yield ok(f"{ready} ready")
    if not found:
        yield fail("found no node", "see the nodes' kubelets")


def groups(state: ClusterState) -> Iterator[Verdict]:
    """Check that the nodes' runtimes support the policy of the labs' groups."""
    if not state.objects.find("Deployment", "hub"):
        yield skip("the hub is not deployed")
        return
    policy = state.objects.settings("hub").get("LAB_GROUPS_POLICY") or "Strict"
    found = state.objects.of("Node")
    old = [one for one in found if not look_up(one, "status", "features", "supplementalGroupsPolicy")]
    names = ", ".join(
        f"{name_of(one)} ({look_up(one, 'status', 'nodeInfo', 'containerRuntimeVersion')})" for one in old
    )
    if policy == "Strict" and old:
        fix = 'upgrade to containerd 2, or say groups_policy = "Merge" under [labs] in site.toml and configure again'
        fix = f"{fix}: LAB_GROUPS_POLICY in the ConfigMap hub ({GROUPS_DOC})"
        yield fail(
            f"found LAB_GROUPS_POLICY Strict, which these nodes do not know, so no lab starts there: {names}", fix
        )
    elif policy == "Merge" and not old:
        fix = f"take LAB_GROUPS_POLICY out of the ConfigMap hub ({GROUPS_DOC})"
        yield warn("found LAB_GROUPS_POLICY Merge, wanted Strict: every node knows it", fix)
    else:
        yield ok(f"LAB_GROUPS_POLICY {policy}, which every node knows")


def pod_security(state: ClusterState) -> Iterator[Verdict]:
    """Check that the labs' namespace has its labels and rejects a privileged pod."""
    namespace = state.objects.find("Namespace", LABS)
    if namespace is None:
        yield fail(f"found no namespace {LABS}", "kubectl apply -f hub/kubernetes")
        return
    yield from check_labels(namespace)
    answer = state.answers.get("privileged")
    if answer is None:
        yield skip("a privileged pod was not tried")
    elif "violates PodSecurity" in answer.err:
        yield ok(f"{LABS} refuses a privileged pod")
    elif answer.status == 0:
        fix = f"{APPLY}; if that is so already, the API server's PodSecurity is off"
        yield fail(f"{LABS} would take a privileged pod, wanted it refused", fix)
    else:
        yield warn(f"whether {LABS} refuses a privileged pod is not known: {answer.reason}", "try with more rights")


def check_labels(namespace: Object) -> Iterator[Verdict]:
    """Check that a namespace has the labels of our manifest."""
    meant = next(one for one in manifests("hub/kubernetes") if one["kind"] == "Namespace" and name_of(one) == LABS)
    has = look_up(namespace, "metadata", "labels", default={})
    for key, value in look_up(meant, "metadata", "labels").items():
        if key.startswith(SECURITY) and has.get(key) != value:
            create = fail if key.endswith("/enforce") else warn
            message = f"{LABS}: found the label {key}={has.get(key, '')}, wanted {value}"
            yield create(message, APPLY)


def find_offset(clock: float, answer: Answer) -> float:
    """Return the least number of seconds that a clock is ahead of this machine's, given the time of the answer."""
    return max(clock - answer.ended, 0.0) or min(clock - answer.began, 0.0)


def parse_time(text: str) -> float:
    """Return the seconds of a time as Kubernetes writes it."""
    return datetime.fromisoformat(text).timestamp()


def read_clocks(state: ClusterState) -> dict[str, float]:
    """Return the seconds that each clock is ahead of this machine's."""
    found: dict[str, float] = {}
    if (answer := state.answers.get("time")) and (text := look_up(answer.read(), "metadata", "creationTimestamp")):
        # The timestamp has whole seconds.
        found["the API server"] = find_offset(parse_time(text) + 0.5, answer)
    for name, who in (("hub", "the hub's node"), ("probe", "the probe's node")):
        if (answer := state.answers.get(name)) and isinstance(seconds := look_up(answer.read(), "time"), float):
            found[who] = find_offset(seconds, answer)
    ready = {name_of(node) for node in state.objects.of("Node") if is_ready(node)}
    for lease in state.objects.of("Lease"):
        if name_of(lease) in ready and (renewed := look_up(lease, "spec", "renewTime")):
            ahead = parse_time(renewed) - state.now
            # The last renewal may be up to 40 s old, so a clock counts as behind only beyond that.
            found[f"node {name_of(lease)}"] = max(ahead, 0.0) or min(ahead + LEASE_SECONDS, 0.0)
    return found


def clock(state: ClusterState) -> Iterator[Verdict]:
    """Check that all clocks agree with this machine's."""
    found = read_clocks(state)
    fix = "start NTP (chrony, systemd-timesyncd) there, or on this machine if all others agree"
    for who, ahead in found.items():
        if abs(ahead) > CLOCK_SECONDS:
            side = "ahead of" if ahead > 0 else "behind"
            yield fail(
                f"{who}: found its clock {abs(ahead):.0f} s {side} this machine's, wanted {CLOCK_SECONDS:.0f} s", fix
            )
    if not found:
        yield skip("no clock could be read")
    elif all(abs(ahead) <= CLOCK_SECONDS for ahead in found.values()):
        worst = max(abs(ahead) for ahead in found.values())
        yield ok(f"{len(found)} clocks within {worst:.1f} s of this machine's")
