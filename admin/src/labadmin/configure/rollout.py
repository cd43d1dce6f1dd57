"""The kubectl commands that apply changed settings in the cluster. This module only returns them as text."""

from __future__ import annotations

from collections.abc import Mapping

from labadmin.configure.manifests import NAMESPACE

KUBECTL = f"kubectl -n {NAMESPACE}"
Contents = Mapping[str, Mapping[str, str]]
# The workloads that must restart if the object in a file changes. The other objects need no restart: nginx and the
# relay load a changed nginx-tls or logstashrmq-tls at run time, and the fileserver reads its token at each request.
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
PROXY_TOKEN = "CONFIGPROXY_AUTH_TOKEN"  # noqa: S105  (a name)


def list_commands(before: Contents, after: Contents) -> list[str]:
    """Return the commands to run after `kubectl apply`.

    Parameters
    ----------
    before, after
        The data of each object before and after the run, by the name of its file.
    """
    restarted: dict[str, None] = {}
    for file, data in after.items():
        # A new object needs no restart, because no running workload has read it.
        if file in before and before[file] != data:
            restarted |= dict.fromkeys(READERS.get(file, []))
            if before[file].get(PROXY_TOKEN) != data.get(PROXY_TOKEN):
                restarted["deployment/proxy"] = None
    restarts = [f"{KUBECTL} rollout restart {' '.join(restarted)}"] if restarted else []
    return [*list_removals(before, after), *restarts]


def list_removals(before: Contents, after: Contents) -> list[str]:
    """Return the command that deletes the objects that are no longer written. `kubectl apply` does not delete them.

    The command does not delete the Secret with nginx's certificate: if site.toml no longer names a certificate,
    cert-manager writes this Secret.
    """
    files = [file for file in before if file not in after and file != "nginx-tls-secret.yaml"]
    gone = [file.removesuffix(".yaml").rpartition("-") for file in files]
    # The workloads that read these objects are deleted, too, because they could not start again without the objects.
    workloads = {workload: None for file in files for workload in READERS.get(file, [])}
    names = " ".join([*workloads, *(f"{kind}/{name}" for name, _, kind in gone)])
    return [f"{KUBECTL} delete --ignore-not-found {names}"] if gone else []
