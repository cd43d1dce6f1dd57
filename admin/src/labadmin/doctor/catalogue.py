"""The list of all checks. Each check comes after the checks that it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from labadmin.doctor.checks import (
    certificates,
    cluster,
    data_protection,
    deployment,
    endpoints,
    network,
    settings,
    storage,
)
from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Finding, Verdict


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes
    ----------
    needs
        Names of the experiments, for example the probe pod, whose answers the check reads.
    """

    group: str
    name: str
    judge: Callable[[ClusterState], Iterable[Verdict]]
    needs: tuple[str, ...] = ()

    def run(self, state: ClusterState) -> Iterator[Finding]:
        """Yield the findings of the check."""
        for verdict in self.judge(state):
            yield Finding(self.group, self.name, verdict)


CHECKS = (
    Check("cluster", "api", cluster.api),
    Check("cluster", "versions", cluster.versions),
    Check("cluster", "nodes", cluster.nodes),
    Check("cluster", "groups-policy", cluster.groups),
    Check("cluster", "pod-security", cluster.pod_security, ("privileged",)),
    Check("cluster", "clock", cluster.clock, ("time", "hub", "probe")),
    Check("deployment", "objects", deployment.objects),
    Check("deployment", "settings", settings.settings),
    Check("deployment", "tokens", settings.tokens),
    Check("deployment", "images", deployment.images),
    Check("deployment", "workloads", deployment.workloads),
    Check("deployment", "hub", deployment.hub, ("hub",)),
    Check("storage", "csi-driver", storage.driver),
    Check("storage", "claims", storage.claims),
    Check("storage", "homes", storage.homes, ("hub",)),
    Check("storage", "nfs", storage.nfs, ("storage",)),
    Check("storage", "space", storage.space, ("storage",)),
    Check("storage", "data-policy", data_protection.data_policy, ("deletion",)),
    Check("storage", "reclaim-policy", data_protection.reclaim_policy),
    Check("network", "probe", network.probe, ("probe",)),
    Check("network", "dns", network.dns, ("probe",)),
    Check("network", "reach", network.reach, ("probe",)),
    Check("network", "policy", network.policy, ("probe",)),
    Check("front", "certificate", certificates.front),
    Check("front", "page", endpoints.page, ("front",)),
    Check("login", "callback", endpoints.callback),
    Check("login", "github", endpoints.github, ("github",)),
    Check("logs", "logs-certificates", certificates.logs),
    Check("logs", "broker", endpoints.broker, ("broker",)),
)
