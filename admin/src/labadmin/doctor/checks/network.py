"""Checks of what a lab can reach, and what it must not reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Verdict, fail, ok, skip, warn
from labadmin.doctor.probe_pod import OWN_NODE

APPLY = "kubectl apply -f hub/kubernetes"
DNS_FIX = (
    "kubectl -n kube-system get pods -l k8s-app=kube-dns; labs ask port 53 in kube-system only"
    " (hub/kubernetes/labs-networkpolicy.yaml)"
)
PLUGIN = "if it is applied, the network plugin does not enforce NetworkPolicies: install one that does (Calico, Cilium)"


def read_probe(state: ClusterState) -> dict[str, Any]:
    """Return the report of the probe, empty if it did not run."""
    answer = state.answers.get("probe")
    found: dict[str, Any] = answer.read() if answer and not answer.status else {}
    return found


def probe(state: ClusterState) -> Iterator[Verdict]:
    """Check that a pod like a lab starts."""
    answer = state.answers.get("probe")
    if answer is None:
        yield skip("no hub is deployed whose image the probe could have")
    elif answer.status or not answer.read():
        fix = "what keeps it keeps labs, too: kubectl -n jupyterlabdemo-labs get events"
        yield fail(f"a pod as restricted as a lab did not run in the labs' namespace: {answer.reason}", fix)
    else:
        yield ok("a pod as restricted as a lab runs in the labs' namespace")


def dns(state: ClusterState) -> Iterator[Verdict]:
    """Check that a lab can resolve names."""
    names = read_probe(state).get("names")
    if not names:
        yield skip("the probe did not run (probe)")
        return
    for name, why in names.items():
        if why:
            yield fail(f"a lab cannot resolve {name}: {why}", DNS_FIX)
    if not any(names.values()):
        yield ok(f"a lab resolves {', '.join(names)}")


def reach(state: ClusterState) -> Iterator[Verdict]:
    """Check that a lab can reach the hub and the proxy."""
    tried = read_probe(state).get("open")
    if not tried:
        yield skip("the probe did not run (probe)")
        return
    for name, why in tried.items():
        if why:
            yield fail(
                f"a lab does not reach the {name}: {why}", f"see that it runs (workloads); the policies: {APPLY}"
            )
    if not any(tried.values()):
        yield ok(f"a lab reaches the {' and the '.join(tried)}")


def policy(state: ClusterState) -> Iterator[Verdict]:
    """Check that a lab cannot reach private services."""
    tried = read_probe(state).get("shut")
    if not tried:
        yield skip("the probe did not run (probe)")
        return
    reached = [name for name, why in tried.items() if not why]
    others = [name for name in reached if name != OWN_NODE]
    if others:
        yield fail(f"a lab reaches {', '.join(reached)}; wanted nothing private", f"{APPLY}; {PLUGIN}")
    elif reached:
        # Some network plugins always let a pod reach its own node.
        yield warn(
            f"a lab reaches {OWN_NODE}, wanted nothing private",
            "a policy of the network plugin's own for hosts, or a firewall on the node",
        )
    else:
        yield ok(f"a lab does not reach {', '.join(tried)}")
