"""Builders of the ConfigMaps and Secrets that the manifests name. They read and write no files."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from labadmin.configure.fields import Table
from labadmin.configure.logs_model import Logs
from labadmin.configure.problems import list_keys
from labadmin.configure.site_keys import Keys, LogKeys
from labadmin.configure.site_model import Labs, Site
from labadmin.configure.sources import Sources

NAMESPACE = "jupyterlabdemo"
# Values of the label app.kubernetes.io/name, by the label app.kubernetes.io/component
NAMES = {
    "hub": "jupyterhub",
    "nginx": "nginx",
    "fileserver": "nfs-ganesha",
    "logstashrmq": "beatsrelay",
    "filebeat": "filebeat",
}
SITE_FILES = "/etc/jupyterlabdemo"
Object = dict[str, Any]


def collect_variables(table: Table) -> dict[str, str]:
    """Return the environment variables of the settings in a table. A setting that site.toml omits gets no variable."""
    variables = {}
    for key, field in list_keys(type(table)):
        extra = field.json_schema_extra
        value = getattr(table, key if key in type(table).model_fields else f"{key}_")
        if isinstance(extra, dict) and extra["variable"] and value is not None:
            variables[str(extra["variable"])] = format_value(value, str(extra["form"]))
    return variables


def format_value(value: object, form: str) -> str:
    """Return a value as the text that the components read."""
    if isinstance(value, bool):
        yes, no = ("on", "off") if form == "on-off" else ("true", "false")
        return yes if value else no
    if isinstance(value, list):
        return (" " if form == "spaces" else ",").join(map(str, value))
    return json.dumps(value) if isinstance(value, dict) else str(value)


def collect_hub_variables(site: Site, sources: Sources) -> dict[str, str]:
    """Return the environment variables of the hub."""
    variables = collect_variables(site) | collect_variables(site.github) | collect_variables(site.labs)
    variables["OAUTH_CALLBACK_URL"] = f"https://{site.hostname}/hub/oauth_callback"
    if site.storage.url:
        variables["FILESERVER_URL"] = site.storage.url
    if "HUB_DATABASE_URL" in sources.hub_secrets:
        variables["HUB_DATABASE_URL_FILE"] = "/run/secrets/hub/HUB_DATABASE_URL"
    for file, variable in (
        ("menu.toml", "LAB_MENU"),
        ("passwd", "LAB_PASSWD"),
        ("group", "LAB_GROUP"),
        ("github-ca.crt", "SSL_CERT_FILE"),  # for OpenSSL. The Kubernetes client has its own CA
    ):
        if file in sources.hub_files:
            variables[variable] = f"{SITE_FILES}/{file}"
    return variables


def collect_relay_variables(logs: Logs, sources: Sources) -> dict[str, str]:
    """Return the environment variables of the relay."""
    variables = collect_variables(logs.relay)
    if logs.amqp:
        variables |= collect_variables(logs.amqp)
    if logs.amqp and logs.amqp.tls is False:
        variables.setdefault("AMQP_PORT", "5672")
    for file, variable in (
        ("broker-ca.crt", "AMQP_TLS_CA_FILE"),
        ("broker-client.crt", "AMQP_TLS_CERT_FILE"),
        ("broker-client.key", "AMQP_TLS_KEY_FILE"),
    ):
        if file in sources.relay_secrets:
            variables[variable] = f"/run/secrets/logstashrmq/{file}"
    return variables


def collect_filebeat_variables(logs: Logs, labs: Labs) -> dict[str, str]:
    """Return the environment variables of filebeat. By default, filebeat does not ship the labs' output."""
    variables = collect_variables(logs)
    if labs.namespace:
        variables.setdefault("OUTPUT_WITHHELD_FROM", labs.namespace)
    return variables


class ManifestBuilder:
    """A builder of Kubernetes objects, whose labels contain the version of the project."""

    def __init__(self, version: str) -> None:
        self._version = version

    def config_map(self, component: str, name: str, data: Mapping[str, str]) -> dict[str, Object]:
        """Return a ConfigMap, with the name of its file as the key."""
        body = {"apiVersion": "v1", "kind": "ConfigMap", **self._metadata(component, name)}
        # An empty ConfigMap omits `data`, because kubectl would report an empty `data` as changed at each apply.
        return {f"{name}-configmap.yaml": body | ({"data": dict(sorted(data.items()))} if data else {})}

    def secret(self, component: str, name: str, data: Mapping[str, str], kind: str = "Opaque") -> dict[str, Object]:
        """Return a Secret, with the name of its file as the key.

        It has `data` instead of `stringData`, because `kubectl apply` never removes a key of `stringData`.
        """
        body = {"apiVersion": "v1", "kind": "Secret", "type": kind, **self._metadata(component, name)}
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in sorted(data.items())}
        return {f"{name}-secret.yaml": body | {"data": encoded}}

    def _metadata(self, component: str, name: str) -> Object:
        labels = {
            "name": NAMES[component],
            "component": component,
            "part-of": NAMESPACE,
            "version": self._version,
        }
        return {
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": {f"app.kubernetes.io/{key}": value for key, value in labels.items()},
            }
        }


def build_objects(site: Site, sources: Sources, keys: Keys, logs: LogKeys | None, version: str) -> dict[str, Object]:
    """Return all objects, with the names of their files as the keys.

    A ConfigMap without settings is returned, too. Otherwise, the cluster would keep the old ConfigMap after its last
    setting was removed from site.toml.
    """
    builder = ManifestBuilder(version)
    hub = {
        "JUPYTERHUB_CRYPT_KEY": keys.crypt_key,
        "CONFIGPROXY_AUTH_TOKEN": keys.proxy_token,
        "FILESERVER_TOKEN": keys.fileserver_token,
    }
    nginx = collect_variables(site.nginx) | {"NGINX_SERVER_NAME": site.hostname}
    storage = {name: text for name, text in collect_variables(site.storage).items() if name != "FILESERVER_URL"}
    objects = (
        builder.config_map("hub", "hub", collect_hub_variables(site, sources))
        | builder.config_map("hub", "hub-files", sources.hub_files)
        | builder.secret("hub", "hub", hub | sources.hub_secrets)
        | builder.config_map("fileserver", "fileserver", storage)
        | builder.secret("fileserver", "fileserver", {"FILESERVER_TOKEN": keys.fileserver_token})
        | builder.config_map("nginx", "nginx", nginx)
    )
    if sources.nginx_tls:
        objects |= builder.secret("nginx", "nginx-tls", sources.nginx_tls, "kubernetes.io/tls")
    if logs and site.shipping:
        objects |= builder.config_map("logstashrmq", "logstashrmq", collect_relay_variables(site.shipping, sources))
        objects |= builder.secret("logstashrmq", "logstashrmq", sources.relay_secrets)
        objects |= builder.config_map("filebeat", "filebeat", collect_filebeat_variables(site.shipping, site.labs))
        for name, pair in (("logstashrmq", logs.relay), ("filebeat", logs.filebeat)):
            data = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": logs.trusted}
            objects |= builder.secret(name, f"{name}-tls", data)
    return objects
