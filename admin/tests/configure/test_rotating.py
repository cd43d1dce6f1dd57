"""Tests that keys are replaced only on request, and that workloads which read changed objects are restarted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from labadmin.configure.rollout import READERS, list_commands
from labadmin.configure.site_keys import ROTATABLE

from admin.tests.configure import components
from admin.tests.configure.sample import LOGS, SMALL, SampleSite
from tools.components import ROOT

NOW = datetime.now(UTC)
RESTART = "kubectl -n jupyterlabdemo rollout restart"


def run_and_list_commands(site: SampleSite, rotate: str | None = None, now: datetime = NOW) -> list[str]:
    """Run the command, and return the kubectl commands that it prints."""
    outcome = site.configure(rotate, now)
    return list_commands(outcome.before, outcome.after)


@pytest.mark.parametrize(
    ("name", "changes", "restarts"),
    [
        ("crypt-key", ["hub-secret.yaml"], "deployment/hub"),
        ("proxy-token", ["hub-secret.yaml"], "deployment/hub deployment/proxy"),
        ("fileserver-token", ["fileserver-secret.yaml", "hub-secret.yaml"], "deployment/hub"),
        ("log-certificates", ["filebeat-tls-secret.yaml", "logstashrmq-tls-secret.yaml"], "daemonset/filebeat"),
        (
            "log-authority",
            ["filebeat-tls-secret.yaml", "log-authority.pem", "logstashrmq-tls-secret.yaml"],
            "daemonset/filebeat",
        ),
    ],
)
def test_only_the_named_key_is_rotated(name: str, changes: list[str], restarts: str, site: SampleSite) -> None:
    site.configure()
    outcome = site.configure(name)
    assert outcome.changed == changes
    assert list_commands(outcome.before, outcome.after) == [f"{RESTART} {restarts}"]
    assert site.configure().changed == []
    components.load_all(site)


def test_each_rotatable_key_is_tested() -> None:
    tried = [mark.args[1] for mark in test_only_the_named_key_is_rotated.pytestmark]  # type: ignore[attr-defined]
    assert {row[0] for rows in tried for row in rows} == set(ROTATABLE)


def test_new_crypt_key_precedes_the_old_one(site: SampleSite) -> None:
    def key() -> str:
        return site.data("hub-secret.yaml")["JUPYTERHUB_CRYPT_KEY"]

    site.configure()
    first = key()
    site.configure("crypt-key")
    second, _, rest = key().partition(";")
    assert (len(second), rest) == (64, first)
    site.configure("crypt-key")
    assert key().split(";")[1:] == [second]
    keys = components.load_hub(site)["hub"]["crypt_keys"]
    assert len(keys) == 2


def test_hub_and_fileserver_share_the_new_token(site: SampleSite) -> None:
    site.configure()
    old = site.data("hub-secret.yaml")["FILESERVER_TOKEN"]
    site.configure("fileserver-token")
    new = site.data("hub-secret.yaml")["FILESERVER_TOKEN"]
    assert site.data("fileserver-secret.yaml") == {"FILESERVER_TOKEN": new}
    assert new != old


def test_rotation_needs_an_earlier_run(site: SampleSite) -> None:
    assert "found no files of an earlier run" in site.run("--rotate", "crypt-key", code=1)


def test_changed_setting_restarts_its_readers(site: SampleSite) -> None:
    site.configure()
    text = (site.folder / "site.toml").read_text()
    site.write_settings(text.replace("[nginx]", "[storage]\nusage_rate = 5\n[nginx]\nhttp3 = true"))
    assert run_and_list_commands(site) == [f"{RESTART} deployment/fileserver deployment/nginx"]
    assert site.data("nginx-configmap.yaml")["NGINX_HTTP3"] == "on"
    # After its last setting was removed, the ConfigMap must still be written, but empty. Otherwise, the cluster would
    # keep the old setting.
    site.write_settings(text)
    assert run_and_list_commands(site) == [f"{RESTART} deployment/fileserver deployment/nginx"]
    assert site.data("fileserver-configmap.yaml") == {}


def test_new_site_certificate_restarts_no_workload(site: SampleSite, tmp_path: Path) -> None:
    site.configure()
    other = SampleSite.make(tmp_path / "other")
    for name in ("fullchain.pem", "privkey.pem"):
        (site.folder / "secrets" / name).write_text((other.folder / "secrets" / name).read_text())
    outcome = site.configure()
    assert outcome.changed == ["nginx-tls-secret.yaml"]
    assert list_commands(outcome.before, outcome.after) == []


def test_each_reader_restarts_or_reloads_after_a_change() -> None:
    again = {("nginx-tls-secret.yaml", "deployment/nginx"), ("logstashrmq-tls-secret.yaml", "deployment/logstashrmq")}
    again |= {("fileserver-secret.yaml", "deployment/fileserver")}
    # The proxy reads one key of this Secret, and `list_commands` restarts the proxy only if that key changes.
    again |= {("hub-secret.yaml", "deployment/proxy")}
    # `configure` does not write the ConfigMaps named *-config: they are part of the manifests.
    named = {pair for file in ROOT.glob("*/kubernetes/*.yaml") for pair in readers(file)}
    assert {pair for pair in named if "-config-" not in pair[0]} == again | {
        (file, workload) for file, workloads in READERS.items() for workload in workloads
    }


def readers(file: Path) -> list[tuple[str, str]]:
    """Return a pair of file and workload for each ConfigMap or Secret that the workload names."""
    body = yaml.safe_load(file.read_text())
    if body["kind"] not in {"Deployment", "DaemonSet"}:
        return []
    spec = body["spec"]["template"]["spec"]
    names = [
        f"{volume['configMap']['name']}-configmap.yaml" for volume in spec.get("volumes", []) if "configMap" in volume
    ]
    names += [
        f"{volume['secret']['secretName']}-secret.yaml" for volume in spec.get("volumes", []) if "secret" in volume
    ]
    for container in spec["containers"]:
        names += [f"{source['configMapRef']['name']}-configmap.yaml" for source in container.get("envFrom", [])]
        for variable in container.get("env", []):
            if "secretKeyRef" in variable.get("valueFrom", {}):
                names.append(f"{variable['valueFrom']['secretKeyRef']['name']}-secret.yaml")
    return [(name, f"{body['kind'].lower()}/{body['metadata']['name']}") for name in names]


def test_disabled_logs_are_removed_without_their_authority(site: SampleSite) -> None:
    site.configure()
    authority = site.files()["log-authority.pem"]
    site.write_settings(SMALL)
    assert run_and_list_commands(site) == [
        "kubectl -n jupyterlabdemo delete --ignore-not-found deployment/logstashrmq daemonset/filebeat "
        "configmap/logstashrmq secret/logstashrmq secret/logstashrmq-tls configmap/filebeat secret/filebeat-tls"
    ]
    assert not [name for name in site.files() if name.startswith(("logstashrmq", "filebeat"))]
    site.write_settings(SMALL + LOGS)
    site.configure()
    assert site.files()["log-authority.pem"] == authority
    assert site.configure().changed == []


def test_site_without_logs_applies_the_other_components(site: SampleSite) -> None:
    site.write_settings(SMALL + "[logs]\nenabled = false\n")
    printed = site.run()
    assert "logs: off\n" in printed
    assert "kubectl apply -f fileserver/kubernetes -f hub/kubernetes -f nginx/kubernetes\n" in printed
    assert "log-authority.pem" not in site.files()
    assert "the logs are off" in site.run("--rotate", "log-authority", code=1)


def test_cert_manager_certificate_is_not_written(site: SampleSite) -> None:
    site.configure()
    lines = (site.folder / "site.toml").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("certificate", "key"))]
    site.write_settings("\n".join(kept).replace("[nginx]", "[nginx]\ncert_manager = true"))
    # From now on cert-manager writes the Secret, so `configure` does not delete it.
    assert run_and_list_commands(site) == []
    assert "nginx-tls-secret.yaml" not in site.files()
