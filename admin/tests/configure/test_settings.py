"""Tests that site.toml has every setting of the components, and that the components accept its valid values."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from beatsrelay.settings import Settings as RelaySettings
from labadmin.configure.fields import Secret
from labadmin.configure.problems import find_table_model, list_keys
from labadmin.configure.site_model import Site
from labhub.settings.labs import LabSettings
from labhub.settings.login import LoginSettings

from admin.tests.configure import components, example
from admin.tests.configure.sample import LOGS, SMALL, SampleSite
from tools.components import ROOT

# Settings without a key in site.toml, each with the reason
LEFT_OUT = {
    "PROXY_API_URL": "the Service of the manifests",
    "HUB_CONNECT_URL": "the Service of the manifests",
    "HUB_METRICS_PORT": "the port of the manifests",
    "BEATS_PORT": "the port of the manifests",
    "METRICS_PORT": "the port of the manifests",
    "BEATS_TLS": "filebeat uses TLS at every site",
    "BEATS_TLS_CERT_FILE": "set by the manifest",
    "BEATS_TLS_KEY_FILE": "set by the manifest",
    "BEATS_TLS_CA_FILE": "set by the manifest",
    "LABFILES_TOKEN_FILE": "set by the manifest",
    "LABFILES_STORAGE": "set by the manifest",
    "LABFILES_HOST": "a NetworkPolicy limits the clients",
    "LABFILES_PORT": "the port of the manifests",
    "LABFILES_METRICS_PORT": "the port of the manifests",
    "LABFILES_NFS": "set by the manifest",
    "LABFILES_NFS_PORT": "the port of the manifests",
    "NGINX_HTTP_PORT": "the port of the manifests",
    "NGINX_HTTPS_PORT": "the port of the manifests",
    "NGINX_RUN": "a folder of the image",
    "NGINX_STATIC": "a folder of the image",
    "NGINX_TLS": "set by the manifest",
    "NGINX_PAGES": "a folder of the image",
}


def numbers(model: Any = Site, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield each numeric setting twice: with its minimum, and with its maximum."""
    for name, field in list_keys(model):
        table = find_table_model(field)
        if table and table is not Secret and "list" not in str(field.annotation):
            yield from numbers(table, (*above, name))
        smallest = 1 if "int" in str(field.annotation) else 0.5
        for limit in field.metadata:
            for kind, more in (("ge", 0), ("le", 0), ("gt", smallest)):
                if hasattr(limit, kind):
                    yield (*above, name), getattr(limit, kind) + more


def test_site_toml_covers_each_setting_of_the_components(tmp_path: Path) -> None:
    written: set[str] = set()
    for number, text in enumerate((example.with_defaults(), example.with_alternatives())):
        site = SampleSite.make(tmp_path / str(number), text)
        site.run()
        for file in site.output.glob("*-*map.yaml"):
            written |= set(site.data(file.name))
        for name in ("hub", "logstashrmq"):
            written |= set(site.data(f"{name}-secret.yaml"))
    models = (RelaySettings, LabSettings, LoginSettings)
    read = {str(field.alias) for model in models for field in model.model_fields.values()}
    read |= set(re.findall(r"^(NGINX_\w+)=", (ROOT / "nginx/start").read_text(), re.MULTILINE))
    read |= set(re.findall(r'"(LABFILES_\w+)"', (ROOT / "fileserver/src/labfiles/settings.py").read_text()))
    read |= set(re.findall(r"\$\{(OUTPUT_\w+):", (ROOT / "filebeat/kubernetes/configmap.yaml").read_text()))
    assert read - written == set(LEFT_OUT)
    assert len(read) > 80


@pytest.mark.parametrize("end", [0, -1], ids=["least", "most"])
def test_the_components_accept_the_minimum_and_the_maximum(end: int, tmp_path: Path) -> None:
    found: dict[tuple[str, ...], list[float]] = {}
    for path, number in numbers():
        found.setdefault(path, []).append(number)
    assert len(found) >= 28
    site = SampleSite.make(tmp_path)
    table: tuple[str, ...] = ()
    lines = []
    for path, ends in found.items():
        if path[:-1] != table:
            table = path[:-1]
            lines.append(f"[{'.'.join(table)}]")
        lines.append(f"{path[-1]} = {sorted(ends)[end]}")
    settings_text = "\n".join(lines)
    site.write_settings(merge(example.TEXT, settings_text))
    site.run()
    components.load_all(site)


def merge(text: str, more: str) -> str:
    """Insert settings into the existing tables of a parsed site.toml."""
    for table, lines in re.findall(r"^\[([\w.]+)\]\n(.*?)(?=^\[|\Z)", more, re.MULTILINE | re.DOTALL):
        text = re.sub(rf"^\[{re.escape(table)}\]\n", f"[{table}]\n{lines}", text, flags=re.MULTILINE)
    tomllib.loads(text)
    return text


def test_output_of_labs_in_any_namespace_is_withheld(site: SampleSite) -> None:
    site.write_settings((SMALL + LOGS).replace("[nginx]", '[labs]\nnamespace = "notebooks"\n[nginx]'))
    site.configure()
    assert site.data("filebeat-configmap.yaml") == {"OUTPUT_WITHHELD_FROM": "notebooks"}
    assert site.data("hub-configmap.yaml")["LAB_NAMESPACE"] == "notebooks"


def test_broker_without_tls_uses_port_5672(site: SampleSite) -> None:
    site.write_settings(SMALL + LOGS + "tls = false\n")
    site.configure()
    settings = components.load_relay(site)
    assert (settings["amqp_tls"], settings["amqp_port"]) == (False, 5672)


def test_unset_settings_are_not_written(tmp_path: Path) -> None:
    site = SampleSite.make(tmp_path, SMALL)
    site.run()
    assert site.data("hub-configmap.yaml") == {
        "GITHUB_CLIENT_ID": "an-id",
        "GITHUB_ORGANIZATION_WHITELIST": "lsst-sqre",
        "OAUTH_CALLBACK_URL": "https://lab.example.org/hub/oauth_callback",
    }
    assert site.data("nginx-configmap.yaml") == {"NGINX_SERVER_NAME": "lab.example.org"}
    assert site.data("hub-files-configmap.yaml") == site.data("fileserver-configmap.yaml") == {}
