"""Checks of the site's ConfigMaps and Secrets. Verdicts name keys, never values."""

from __future__ import annotations

from collections.abc import Iterator

from labadmin.doctor.checks.deployment import is_deployed
from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.findings import Verdict, fail, ok, skip
from labadmin.objects import NAMESPACE, Object, Objects, containers, look_up, pod_spec

ALL = ("initContainers", "containers")
# Keys that the programs require although the manifests do not mention them
SECRETS: dict[str, dict[str, tuple[str, ...]]] = {
    "nginx": {"nginx-tls": ("tls.crt", "tls.key")},
    "logstashrmq": {"logstashrmq-tls": ("tls.crt", "tls.key", "ca.crt")},
    "filebeat": {"filebeat-tls": ("tls.crt", "tls.key", "ca.crt")},
}
CONFIGMAPS = {
    "hub": ("GITHUB_CLIENT_ID", "OAUTH_CALLBACK_URL", "GITHUB_ORGANIZATION_WHITELIST"),
    "nginx": ("NGINX_SERVER_NAME",),
    "logstashrmq": ("AMQP_HOST", "AMQP_USER", "AMQP_EXCHANGE"),
}
# Alternative names of settings. The hub accepts the usual name and the alternative.
SECOND_NAMES = {"GITHUB_ORGANIZATION_WHITELIST": "GITHUB_ALLOWED_ORGANIZATIONS"}
DOCS = {
    "hub": "docs/admin/hub.md",
    "fileserver": "docs/admin/storage.md",
    "nginx": "nginx/README.md",
    "nginx-tls": "nginx/README.md",
    "logstashrmq": "docs/admin/relay.md",
    "logstashrmq-tls": "docs/admin/relay.md",
    "filebeat-tls": "docs/admin/logs.md",
}
RequiredKeys = dict[tuple[str, str], set[str]]


def find_named(workload: Object) -> RequiredKeys:
    """Return the Secrets and ConfigMaps that the manifest of a workload requires, with their keys."""
    found: RequiredKeys = {}
    volumes = {volume["name"]: volume for volume in pod_spec(workload).get("volumes") or []}
    for volume in volumes.values():
        if (secret := volume.get("secret")) and not secret.get("optional"):
            found.setdefault(("Secret", secret["secretName"]), set())
        if (config := volume.get("configMap")) and not config.get("optional"):
            found.setdefault(("ConfigMap", config["name"]), set())
    for container in containers(workload, ALL):
        for source in container.get("envFrom") or []:
            for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                if (reference := source.get(key)) and not reference.get("optional"):
                    found.setdefault((kind, reference["name"]), set())
        for variable in container.get("env") or []:
            if reference := look_up(variable, "valueFrom", "secretKeyRef"):
                found.setdefault(("Secret", reference["name"]), set()).add(reference["key"])
        for name, key in find_keys(container, volumes):
            found.setdefault(("Secret", name), set()).add(key)
    return found


def find_keys(container: Object, volumes: Object) -> Iterator[tuple[str, str]]:
    """Yield the Secret and key of each variable that contains the path of a mounted file, /run/secrets/<name>/<key>."""
    for mount in container.get("volumeMounts") or []:
        name = look_up(volumes.get(mount["name"]), "secret", "secretName")
        for variable in container.get("env") or []:
            folder, _, key = str(variable.get("value") or "").rpartition("/")
            if name and folder == mount["mountPath"]:
                yield name, key


def find_required(found: Objects) -> RequiredKeys:
    """Return the Secrets and ConfigMaps that the deployed workloads require, with their keys."""
    keys_of: RequiredKeys = {}
    for workload in found.workloads():
        for key, names in find_named(workload).items():
            keys_of.setdefault(key, set()).update(names)
    for component, secrets in SECRETS.items():
        if is_deployed(component, found):
            for name, keys in secrets.items():
                keys_of.setdefault(("Secret", name), set()).update(keys)
    for name, needed in CONFIGMAPS.items():
        # With RELAY_SETTINGS_FILE the relay reads its settings from a file, so the ConfigMap does not need them.
        if is_deployed(name, found) and "RELAY_SETTINGS_FILE" not in found.settings(name):
            keys_of.setdefault(("ConfigMap", name), set()).update(needed)
    return keys_of


def _has_value(data: Object, key: str) -> bool:
    names = (key, SECOND_NAMES.get(key, key))
    return any(str(data.get(name) or "").strip() for name in names)


def settings(state: ClusterState) -> Iterator[Verdict]:
    """Check that every required Secret and ConfigMap exists, with its keys."""
    required = find_required(state.objects)
    complete = 0
    for (kind, name), keys in sorted(required.items()):
        found = state.objects.find(kind, name, NAMESPACE)
        doc = DOCS.get(name, f"kubectl apply -f {name.partition('-')[0]}/kubernetes")
        if found is None:
            yield fail(
                f"{kind} {name} is missing" + (f", wanted with {', '.join(sorted(keys))}" if keys else ""),
                f"create it: {doc}",
            )
            continue
        data = found.get("data") or {}
        missing = sorted(key for key in keys if not _has_value(data, key))
        if missing:
            restart = f"kubectl -n {NAMESPACE} rollout restart deployment/{name.removesuffix('-tls')}"
            yield fail(f"{kind} {name}: {', '.join(missing)} missing or empty", f"add it ({doc}), then {restart}")
        else:
            complete += 1
    if required and complete == len(required):
        yield ok(f"{complete} Secrets and ConfigMaps exist, with their keys")
    if not required:
        yield skip("no deployed workload requires a Secret or a ConfigMap")


def tokens(state: ClusterState) -> Iterator[Verdict]:
    """Check that the hub and the fileserver have the same token."""
    both = [state.objects.secret(name).get("FILESERVER_TOKEN", b"").strip() for name in ("hub", "fileserver")]
    if not all(both):
        yield skip("one of the Secrets hub and fileserver has no FILESERVER_TOKEN (see settings)")
    elif both[0] != both[1]:
        restart = f"kubectl -n {NAMESPACE} rollout restart deployment/hub deployment/fileserver"
        fix = f"write the same value into both, then {restart}"
        yield fail(
            "the Secrets hub and fileserver have different values of FILESERVER_TOKEN, wanted the same: the hub cannot"
            " create homes",
            fix,
        )
    else:
        yield ok("the Secrets hub and fileserver have the same FILESERVER_TOKEN")
