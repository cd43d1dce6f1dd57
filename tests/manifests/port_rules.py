# ruff: noqa: D401  (the docstring of a rule states the rule)
"""Rules for ports, probes, metrics, Services and NetworkPolicies in manifests."""

from __future__ import annotations

from collections.abc import Iterator

from tests.manifests.complaint import Complaint, each_container, selects
from tests.manifests.manifest import RUN_TO_COMPLETION, Folder, part

PROBES = {"startupProbe", "readinessProbe", "livenessProbe"}


def named_ports(folder: Folder) -> Iterator[Complaint]:
    """Ports have names, and Services refer to ports by name."""
    for manifest in folder.manifests:
        blocks = [port for container in manifest.containers for port in container.get("ports") or []]
        if manifest.kind == "Service":
            blocks = part(manifest.body, "spec").get("ports") or []
            for port in blocks:
                if not isinstance(target := port.get("targetPort"), str):
                    yield Complaint(manifest, f"found targetPort {target}, wanted the name of a port", port)
        for port in blocks:
            if "name" not in port:
                yield Complaint(manifest, "found a port without a name", port)


def metrics(folder: Folder) -> Iterator[Complaint]:
    """A pod with a port `metrics` has an annotation with the number of this port, so that Prometheus finds the port."""
    for manifest in folder.manifests:
        ports = [port for container in manifest.containers for port in container.get("ports") or []]
        numbers = [str(port.get("containerPort")) for port in ports if port.get("name") == "metrics"]
        annotations = part(manifest.body, "spec", "template", "metadata", "annotations")
        found = [annotations[key] for key in ("prometheus.io/port",) if key in annotations]
        if found != numbers:
            yield Complaint(manifest, f"prometheus.io/port: found {found}, wanted {numbers}", annotations)


def probes(folder: Folder) -> Iterator[Complaint]:
    """Containers have a readiness and a liveness probe on a named port, except the containers of Jobs and CronJobs."""
    for manifest in folder.manifests:
        if manifest.kind in RUN_TO_COMPLETION:
            continue
        for container in part(manifest.body, "spec", "template", "spec").get("containers") or []:
            for probe in ("readinessProbe", "livenessProbe"):
                if probe not in container:
                    yield Complaint(manifest, f"{container.get('name')}: no {probe}", container)
            names = {port.get("name") for port in container.get("ports") or []}
            for probe in PROBES & set(container):
                for action in ("httpGet", "tcpSocket"):
                    port = part(container, probe, action).get("port")
                    if action in part(container, probe) and port not in names:
                        yield Complaint(manifest, f"{probe}: found port {port}, wanted the name of a port", container)


def probe_numbers(folder: Folder) -> Iterator[Complaint]:
    """Each number of a probe has a comment with its reason: beside or above the number, or above the probe."""
    for manifest, container in each_container(folder):
        for probe in sorted(PROBES & set(container)):
            block = part(container, probe)
            for key, value in block.items():
                lines = (block.lines[key], container.lines[probe])
                if isinstance(value, int) and not any(map(manifest.comment_beside, lines)):
                    yield Complaint(manifest, f"{probe}.{key}: {value} has no comment with its reason", block)


def services_reach_pods(folder: Folder) -> Iterator[Complaint]:
    """A Service selects the pods of exactly one workload in its folder, and the Service's ports exist in these pods."""
    for manifest in folder.manifests:
        if manifest.kind != "Service":
            continue
        spec = part(manifest.body, "spec")
        owners = [other for other in folder.manifests if selects(part(spec, "selector"), other)]
        if len(owners) != 1:
            yield Complaint(manifest, f"selects the pods of {len(owners)} workloads, wanted those of one", spec)
            continue
        names = {port.get("name") for container in owners[0].containers for port in container.get("ports") or []}
        for port in spec.get("ports") or []:
            if (target := port.get("targetPort")) not in names:
                yield Complaint(manifest, f"found targetPort {target}, which {owners[0].file} does not have", port)


def network_policies(folder: Folder) -> Iterator[Complaint]:
    """For each pod, at least one NetworkPolicy with the type Ingress selects the pod."""
    policies = [manifest for manifest in folder.manifests if manifest.kind == "NetworkPolicy"]
    ingress = [one for one in policies if "Ingress" in part(one.body, "spec").get("policyTypes", [])]
    selected = [(one.metadata.get("namespace"), part(one.body, "spec", "podSelector")) for one in ingress]
    for manifest in folder.manifests:
        here = [selector for where, selector in selected if where == manifest.metadata.get("namespace")]
        # An empty selector selects all pods of the namespace.
        chosen = any(not selector or selects(part(selector, "matchLabels"), manifest) for selector in here)
        if manifest.template is not None and not chosen:
            yield Complaint(manifest, "no NetworkPolicy with the type Ingress selects its pods")
