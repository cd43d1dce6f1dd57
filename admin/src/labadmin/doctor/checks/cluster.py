"""The cluster itself: the API, versions, nodes, what it enforces, clocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from labadmin.doctor.cluster_state import Facts
from labadmin.doctor.findings import Verdict, doubt, skipped, well, wrong
from labadmin.doctor.kubectl import Answer
from labadmin.doctor.objects import LABS, Object, manifests, name_of, part

# supplementalGroupsPolicy is on by default from here on.
OLDEST = (1, 33)
PRESSURES = {"MemoryPressure", "DiskPressure", "PIDPressure"}
CLOCK_SECONDS = 5.0
# A node renews its lease every ten seconds, and is given up after forty.
LEASE_SECONDS = 40.0
SECURITY = "pod-security.kubernetes.io/"
APPLY = "kubectl apply -f hub/kubernetes/labs-namespace.yaml"
GROUPS_DOC = "docs/admin/hub.md, LAB_GROUPS_POLICY"


def minor(version: str) -> tuple[int, int]:
    """Read the first two numbers of a version."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def api(facts: Facts) -> Iterator[Verdict]:
    """Look whether everything could be read."""
    for unread in facts.unread:
        yield wrong(f"cannot read {unread}", "run the doctor with the rights of whoever deploys (kubectl auth whoami)")
    if not facts.unread:
        yield well(f"Kubernetes {part(facts.version, 'serverVersion', 'gitVersion')} answers")


def versions(facts: Facts) -> Iterator[Verdict]:
    """Hold server, kubelets and kubectl against what is supported."""
    server, client = (str(part(facts.version, f"{one}Version", "gitVersion")) for one in ("server", "client"))
    if minor(server) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        yield wrong(
            f"found Kubernetes {server}, wanted {wanted} or newer: it ignores the policy of groups", "upgrade it"
        )
    elif abs(minor(server)[1] - minor(client)[1]) > 1:
        yield doubt(f"found kubectl {client} for Kubernetes {server}, wanted one minor version apart at most",
                    f"install kubectl {server}")  # fmt: skip
    else:
        yield well(f"Kubernetes {server}, kubectl {client}")


def is_ready(node: Object) -> bool:
    """Tell whether a node is."""
    conditions = part(node, "status", "conditions", default=[])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def nodes(facts: Facts) -> Iterator[Verdict]:
    """Look whether nodes are ready and have room."""
    found = facts.objects.of("Node")
    ready = 0
    for node in found:
        states = {one["type"]: one for one in part(node, "status", "conditions", default=[])}
        name, fix = name_of(node), f"kubectl describe node {name_of(node)}"
        if not is_ready(node):
            yield wrong(f"{name} is not ready: {part(states, 'Ready', 'message', default='it says nothing')}", fix)
            continue
        ready += 1
        for kind in sorted(PRESSURES & states.keys()):
            if states[kind]["status"] == "True":
                yield doubt(f"{name} has {kind}: {states[kind].get('message')}", fix)
        if part(node, "spec", "unschedulable"):
            yield doubt(f"{name} takes no new pods", f"kubectl uncordon {name}")
    if ready and ready == len(found):
        yield well(f"{ready} ready")
    if not found:
        yield wrong("found no node", "see the nodes' kubelets")


def groups(facts: Facts) -> Iterator[Verdict]:
    """Hold the policy of labs' groups against what the nodes' runtimes know."""
    if not facts.objects.find("Deployment", "hub"):
        yield skipped("the hub is not deployed")
        return
    policy = facts.objects.settings("hub").get("LAB_GROUPS_POLICY") or "Strict"
    found = facts.objects.of("Node")
    old = [one for one in found if not part(one, "status", "features", "supplementalGroupsPolicy")]
    names = ", ".join(f"{name_of(one)} ({part(one, 'status', 'nodeInfo', 'containerRuntimeVersion')})" for one in old)
    if policy == "Strict" and old:
        fix = 'upgrade to containerd 2, or say groups_policy = "Merge" under [labs] in site.toml and configure again'
        fix = f"{fix}: LAB_GROUPS_POLICY in the ConfigMap hub ({GROUPS_DOC})"
        yield wrong(
            f"found LAB_GROUPS_POLICY Strict, which these nodes do not know, so no lab starts there: {names}", fix
        )
    elif policy == "Merge" and not old:
        fix = f"take LAB_GROUPS_POLICY out of the ConfigMap hub ({GROUPS_DOC})"
        yield doubt("found LAB_GROUPS_POLICY Merge, wanted Strict: every node knows it", fix)
    else:
        yield well(f"LAB_GROUPS_POLICY {policy}, which every node knows")


def pod_security(facts: Facts) -> Iterator[Verdict]:
    """Look whether the labs' namespace refuses what is not restricted: its labels, and whether it does."""
    namespace = facts.objects.find("Namespace", LABS)
    if namespace is None:
        yield wrong(f"found no namespace {LABS}", "kubectl apply -f hub/kubernetes")
        return
    yield from labels(namespace)
    answer = facts.answers.get("privileged")
    if answer is None:
        yield skipped("a privileged pod was not tried")
    elif "violates PodSecurity" in answer.err:
        yield well(f"{LABS} refuses a privileged pod")
    elif answer.status == 0:
        fix = f"{APPLY}; if that is so already, the API server's PodSecurity is off"
        yield wrong(f"{LABS} would take a privileged pod, wanted it refused", fix)
    else:
        yield doubt(f"whether {LABS} refuses a privileged pod is not known: {answer.why}", "try with more rights")


def labels(namespace: Object) -> Iterator[Verdict]:
    """Hold a namespace's labels against our manifest's."""
    meant = next(one for one in manifests("hub/kubernetes") if one["kind"] == "Namespace" and name_of(one) == LABS)
    has = part(namespace, "metadata", "labels", default={})
    for key, value in part(meant, "metadata", "labels").items():
        if key.startswith(SECURITY) and has.get(key) != value:
            say = wrong if key.endswith("/enforce") else doubt
            said = f"{LABS}: found the label {key}={has.get(key, '')}, wanted {value}"
            yield say(said, APPLY)


def offset(told: float, answer: Answer) -> float:
    """Give by how many seconds a clock is ahead of this machine's: at the least, since the answer took its time."""
    return max(told - answer.ended, 0.0) or min(told - answer.began, 0.0)


def stamp(text: str) -> float:
    """Read a time as Kubernetes writes it."""
    return datetime.fromisoformat(text).timestamp()


def clocks(facts: Facts) -> dict[str, float]:
    """Give by how many seconds each clock is ahead of this machine's."""
    found: dict[str, float] = {}
    if (answer := facts.answers.get("time")) and (text := part(answer.read(), "metadata", "creationTimestamp")):
        # It tells whole seconds.
        found["the API server"] = offset(stamp(text) + 0.5, answer)
    for name, who in (("hub", "the hub's node"), ("probe", "the probe's node")):
        if (answer := facts.answers.get(name)) and isinstance(told := part(answer.read(), "time"), float):
            found[who] = offset(told, answer)
    ready = {name_of(node) for node in facts.objects.of("Node") if is_ready(node)}
    for lease in facts.objects.of("Lease"):
        if name_of(lease) in ready and (renewed := part(lease, "spec", "renewTime")):
            ahead = stamp(renewed) - facts.now
            # How long ago it was renewed is not known: up to a lease's length behind is as it should be.
            found[f"node {name_of(lease)}"] = max(ahead, 0.0) or min(ahead + LEASE_SECONDS, 0.0)
    return found


def clock(facts: Facts) -> Iterator[Verdict]:
    """Hold clocks against this machine's."""
    found = clocks(facts)
    fix = "start NTP (chrony, systemd-timesyncd) there, or on this machine if all others agree"
    for who, ahead in found.items():
        if abs(ahead) > CLOCK_SECONDS:
            side = "ahead of" if ahead > 0 else "behind"
            yield wrong(
                f"{who}: found its clock {abs(ahead):.0f} s {side} this machine's, wanted {CLOCK_SECONDS:.0f} s", fix
            )
    if not found:
        yield skipped("nobody told the time")
    elif all(abs(ahead) <= CLOCK_SECONDS for ahead in found.values()):
        worst = max(abs(ahead) for ahead in found.values())
        yield well(f"{len(found)} clocks within {worst:.1f} s of this machine's")
