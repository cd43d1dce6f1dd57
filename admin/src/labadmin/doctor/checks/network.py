"""Checks of the addresses that a lab can reach, and of those that it must not reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Verdict, fail, ok, skip, warn
from labadmin.doctor.probe_pod import OWN_NODE

APPLY = "kubectl apply -f hub/kubernetes"
DNS_FIX = (
    "check that the name servers run: kubectl -n kube-system get pods -l k8s-app=kube-dns; a policy allows labs only"
    " the name servers in kube-system, port 53 (hub/kubernetes/labs-networkpolicy.yaml)"
)
PLUGIN = (
    "if that changes nothing, the network plugin does not enforce NetworkPolicies: install one that does"
    " (Calico, Cilium)"
)


def read_probe(state: ClusterState) -> dict[str, Any]:
    """Return the report of the probe, or an empty dict if the probe did not run."""
    answer = state.answers.get("probe")
    found: dict[str, Any] = answer.read() if answer and not answer.status else {}
    return found


def probe(state: ClusterState) -> Iterator[Verdict]:
    """Check that a pod with the restrictions of a lab runs."""
    answer = state.answers.get("probe")
    if answer is None:
        yield skip("no hub is deployed: the probe needs its image")
    elif answer.status or not answer.read():
        fix = "labs fail for the same reason: kubectl -n jupyterlabdemo-labs get events"
        yield fail(f"a pod with the restrictions of a lab did not run in the labs' namespace: {answer.reason}", fix)
    else:
        yield ok("a pod with the restrictions of a lab runs in the labs' namespace")


def dns(state: ClusterState) -> Iterator[Verdict]:
    """Check that a lab can resolve the names of Services."""
    names = read_probe(state).get("names")
    if not names:
        yield skip("the probe did not run (see probe)")
        return
    for name, why in names.items():
        if why:
            yield fail(f"a lab cannot resolve {name}: {why}", DNS_FIX)
    if not any(names.values()):
        yield ok(f"a lab can resolve {', '.join(names)}")


def reach(state: ClusterState) -> Iterator[Verdict]:
    """Check that a lab can reach the hub and the proxy."""
    tried = read_probe(state).get("open")
    if not tried:
        yield skip("the probe did not run (see probe)")
        return
    for name, why in tried.items():
        if why:
            yield fail(
                f"a lab cannot reach the {name}: {why}",
                f"check that it runs (see workloads); apply the policies: {APPLY}",
            )
    if not any(tried.values()):
        yield ok(f"a lab can reach the {' and the '.join(tried)}")


def policy(state: ClusterState) -> Iterator[Verdict]:
    """Check that a lab cannot reach private addresses."""
    tried = read_probe(state).get("shut")
    if not tried:
        yield skip("the probe did not run (see probe)")
        return
    reached = [name for name, why in tried.items() if not why]
    others = [name for name in reached if name != OWN_NODE]
    if others:
        yield fail(f"a lab can reach {', '.join(reached)}; wanted no private address", f"{APPLY}; {PLUGIN}")
    elif reached:
        # This is only a warning, because some network plugins always allow a pod to reach its own node.
        yield warn(
            f"a lab can reach {OWN_NODE}; wanted no private address",
            "block it with a host policy of the network plugin, or with a firewall on the node",
        )
    else:
        yield ok(f"a lab cannot reach {', '.join(tried)}")
