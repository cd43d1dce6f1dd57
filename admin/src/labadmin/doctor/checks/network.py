"""What a lab reaches, and what it must not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labadmin.doctor.cluster_state import Facts
from labadmin.doctor.findings import Verdict, doubt, skipped, well, wrong
from labadmin.doctor.probe_pod import OWN_NODE

APPLY = "kubectl apply -f hub/kubernetes"
DNS_FIX = (
    "kubectl -n kube-system get pods -l k8s-app=kube-dns; labs ask port 53 in kube-system only"
    " (hub/kubernetes/labs-networkpolicy.yaml)"
)
PLUGIN = "if it is applied, the network plugin does not enforce NetworkPolicies: install one that does (Calico, Cilium)"


def told(facts: Facts) -> dict[str, Any]:
    """Give what the probe found; nothing if it did not run."""
    answer = facts.answers.get("probe")
    found: dict[str, Any] = answer.read() if answer and not answer.status else {}
    return found


def probe(facts: Facts) -> Iterator[Verdict]:
    """Look whether a pod like a lab starts at all."""
    answer = facts.answers.get("probe")
    if answer is None:
        yield skipped("no hub is deployed whose image the probe could have")
    elif answer.status or not answer.read():
        fix = "what keeps it keeps labs, too: kubectl -n jupyterlabdemo-labs get events"
        yield wrong(f"a pod as restricted as a lab did not run in the labs' namespace: {answer.why}", fix)
    else:
        yield well("a pod as restricted as a lab runs in the labs' namespace")


def dns(facts: Facts) -> Iterator[Verdict]:
    """Look whether names are known to a lab."""
    names = told(facts).get("names")
    if not names:
        yield skipped("the probe did not run (probe)")
        return
    for name, why in names.items():
        if why:
            yield wrong(f"a lab cannot resolve {name}: {why}", DNS_FIX)
    if not any(names.values()):
        yield well(f"a lab resolves {', '.join(names)}")


def reach(facts: Facts) -> Iterator[Verdict]:
    """Look whether a lab reaches what it needs."""
    tried = told(facts).get("open")
    if not tried:
        yield skipped("the probe did not run (probe)")
        return
    for name, why in tried.items():
        if why:
            yield wrong(
                f"a lab does not reach the {name}: {why}", f"see that it runs (workloads); the policies: {APPLY}"
            )
    if not any(tried.values()):
        yield well(f"a lab reaches the {' and the '.join(tried)}")


def policy(facts: Facts) -> Iterator[Verdict]:
    """Look whether a lab is kept from what is private."""
    tried = told(facts).get("shut")
    if not tried:
        yield skipped("the probe did not run (probe)")
        return
    reached = [name for name, why in tried.items() if not why]
    others = [name for name in reached if name != OWN_NODE]
    if others:
        yield wrong(f"a lab reaches {', '.join(reached)}; wanted nothing private", f"{APPLY}; {PLUGIN}")
    elif reached:
        # Some plugins always let a pod reach the node that it is on; the rest is kept from it.
        yield doubt(
            f"a lab reaches {OWN_NODE}, wanted nothing private",
            "a policy of the network plugin's own for hosts, or a firewall on the node",
        )
    else:
        yield well(f"a lab does not reach {', '.join(tried)}")
