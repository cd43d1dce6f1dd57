"""What a change asks of who applies it: which workloads read their settings only when they start. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from labadmin.configure.manifests import NAMESPACE

KUBECTL = f"kubectl -n {NAMESPACE}"
Contents = Mapping[str, Mapping[str, str]]
# The workloads that have to start anew when the file's object changes. What is not here is read again by itself:
# nginx-tls and logstashrmq-tls when they change, the fileserver's token at each request.
READERS = {
    "hub-configmap.yaml": ["deployment/hub"],
    "hub-files-configmap.yaml": ["deployment/hub"],
    "hub-secret.yaml": ["deployment/hub"],
    "fileserver-configmap.yaml": ["deployment/fileserver"],
    "nginx-configmap.yaml": ["deployment/nginx"],
    "logstashrmq-configmap.yaml": ["deployment/logstashrmq"],
    "logstashrmq-secret.yaml": ["deployment/logstashrmq"],
    "filebeat-configmap.yaml": ["daemonset/filebeat"],
    "filebeat-tls-secret.yaml": ["daemonset/filebeat"],
}
PROXY_TOKEN = "CONFIGPROXY_AUTH_TOKEN"  # noqa: S105  (its name)


def list_commands(before: Contents, after: Contents) -> list[str]:
    """Give the commands that bring a change into the cluster.

    Parameters
    ----------
    before, after
        What each object holds, by its file.
    """
    restarted: dict[str, None] = {}
    for file, data in after.items():
        # What is new nobody has read yet.
        if file in before and before[file] != data:
            restarted |= dict.fromkeys(READERS.get(file, []))
            if before[file].get(PROXY_TOKEN) != data.get(PROXY_TOKEN):
                restarted["deployment/proxy"] = None
    restarts = [f"{KUBECTL} rollout restart {' '.join(restarted)}"] if restarted else []
    return [*list_removals(before, after), *restarts]


def list_removals(before: Contents, after: Contents) -> list[str]:
    """Give the command that removes what is not written any more, which `kubectl apply` does not.

    nginx's certificate stays: cert-manager writes it from now on, into the same Secret.
    """
    files = [file for file in before if file not in after and file != "nginx-tls-secret.yaml"]
    gone = [file.removesuffix(".yaml").rpartition("-") for file in files]
    # Whoever reads them could not start anew without.
    workloads = {workload: None for file in files for workload in READERS.get(file, [])}
    names = " ".join([*workloads, *(f"{kind}/{name}" for name, _, kind in gone)])
    return [f"{KUBECTL} delete --ignore-not-found {names}"] if gone else []
