"""The kubectl commands that bring changed settings into the cluster. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from labadmin.configure.manifests import NAMESPACE

KUBECTL = f"kubectl -n {NAMESPACE}"
Contents = Mapping[str, Mapping[str, str]]
# The workloads that have to restart if the object of a file changes. The other objects need no restart: nginx-tls and
# logstashrmq-tls are read again when they change, the fileserver's token at each request.
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
    """Return the commands that bring a change into the cluster, after `kubectl apply`.

    Parameters
    ----------
    before, after
        The data of each object, by the name of its file.
    """
    restarted: dict[str, None] = {}
    for file, data in after.items():
        # A new object has no readers yet.
        if file in before and before[file] != data:
            restarted |= dict.fromkeys(READERS.get(file, []))
            if before[file].get(PROXY_TOKEN) != data.get(PROXY_TOKEN):
                restarted["deployment/proxy"] = None
    restarts = [f"{KUBECTL} rollout restart {' '.join(restarted)}"] if restarted else []
    return [*list_removals(before, after), *restarts]


def list_removals(before: Contents, after: Contents) -> list[str]:
    """Return the command that removes objects that are no longer written. `kubectl apply` does not remove them.

    The certificate of nginx is kept: from then on cert-manager writes it into the same Secret.
    """
    files = [file for file in before if file not in after and file != "nginx-tls-secret.yaml"]
    gone = [file.removesuffix(".yaml").rpartition("-") for file in files]
    # Their readers are removed, too: they could not restart without these objects.
    workloads = {workload: None for file in files for workload in READERS.get(file, [])}
    names = " ".join([*workloads, *(f"{kind}/{name}" for name, _, kind in gone)])
    return [f"{KUBECTL} delete --ignore-not-found {names}"] if gone else []
