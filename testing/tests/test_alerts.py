"""Tests of docs/admin/alerts.rules.yaml: each alert fires only during its own fault. alerts.md describes each alert."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from labtesting.needs import need_program

from tools.links import anchors

ADMIN = Path(__file__).parents[2] / "docs/admin"
RULES = ADMIN / "alerts.rules.yaml"
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
}
MINUTES = 13 * 60  # duration of a scenario, longer than the `for` of every alert
STEADY, ZERO, GROWING = f"1+0x{MINUTES}", f"0+0x{MINUTES}", f"0+10x{MINUTES}"
GONE = "stale"
OURS = 'namespace="jupyterlabdemo"'
# The metrics of a healthy site, in promtool's notation with one sample per minute.
HEALTHY = {
    'labhub_watch_age_seconds{kind="pods"}': STEADY,
    'labhub_watch_idle_seconds{kind="pods"}': STEADY,
    "requests_web": STEADY,
    'labhub_spawn_failures_total{reason="image"}': ZERO,
    'labhub_spawn_failures_total{reason="quota"}': ZERO,
    'labhub_spawn_failures_total{reason="timeout"}': GROWING,
    'labhub_lab_ends_total{reason="node"}': ZERO,
    'labhub_lab_ends_total{reason="idle"}': GROWING,
    'labhub_reconcile_actions_total{action="orphan"}': ZERO,
    "labhub_spawning_stopped": ZERO,
    'labhub_spawn_seconds_bucket{le="30"}': GROWING,
    'labhub_spawn_seconds_bucket{le="120"}': GROWING,
    'labhub_spawn_seconds_bucket{le="+Inf"}': GROWING,
    "labfiles_nfs_up": STEADY,
    "labfiles_storage_bytes": f"100+0x{MINUTES}",
    "labfiles_storage_available_bytes": f"50+0x{MINUTES}",
    "labfiles_storage_inodes": f"100+0x{MINUTES}",
    "labfiles_storage_available_inodes": f"50+0x{MINUTES}",
    "beatsrelay_broker_up": STEADY,
    "beatsrelay_broker_blocked": ZERO,
    'beatsrelay_events_published_again_total{reason="returned"}': ZERO,
    'beatsrelay_events_published_again_total{reason="refused"}': ZERO,
    'beatsrelay_events_dead_lettered_total{reason="malformed"}': ZERO,
    'beatsrelay_events_dropped_total{reason="malformed"}': ZERO,
    "beatsrelay_certificates_failed_total": ZERO,
    "beatsrelay_events_received_total": GROWING,
    f'kube_daemonset_status_number_unavailable{{{OURS},daemonset="filebeat"}}': ZERO,
    f'kube_deployment_status_replicas_available{{{OURS},deployment="nginx"}}': f"2+0x{MINUTES}",
    "probe_ssl_earliest_cert_expiry": f"9999999+0x{MINUTES}",
}
# For each alert, the series that differ from HEALTHY during the alert's fault. During this fault, only this alert may
# fire.
FAULTS = {
    "HubDown": {'labhub_watch_age_seconds{kind="pods"}': GONE},
    "ProxyDown": {"requests_web": GONE},
    "KubernetesApiUnreachable": {'labhub_watch_age_seconds{kind="pods"}': f"0+60x{MINUTES}"},
    "HubWatchStalled": {'labhub_watch_idle_seconds{kind="pods"}': f"61+0x{MINUTES}"},
    "LabSpawnsFail": {'labhub_spawn_failures_total{reason="image"}': GROWING},
    "ClusterFull": {'labhub_spawn_failures_total{reason="cancelled"}': GROWING},
    "NodeFailuresEndLabs": {'labhub_lab_ends_total{reason="node"}': GROWING},
    "OrphanedPods": {'labhub_reconcile_actions_total{action="orphan"}': GROWING},
    "SpawningPaused": {"labhub_spawning_stopped": STEADY},
    "LabsStartSlowly": {'labhub_spawn_seconds_bucket{le="30"}': ZERO},
    "FileserverDown": {"labfiles_nfs_up": GONE, "labfiles_storage_bytes": GONE},
    "NfsNotAnswering": {"labfiles_nfs_up": ZERO},
    "DiskAlmostFull": {"labfiles_storage_available_bytes": f"9+0x{MINUTES}"},
    "InodesAlmostUsed": {"labfiles_storage_available_inodes": f"9+0x{MINUTES}"},
    "RelayDown": {"beatsrelay_broker_up": GONE},
    "RelayDisconnected": {"beatsrelay_broker_up": ZERO},
    "BrokerBlocked": {"beatsrelay_broker_blocked": STEADY},
    "LogsUnroutable": {'beatsrelay_events_published_again_total{reason="returned"}': GROWING},
    "LogsRefused": {'beatsrelay_events_published_again_total{reason="refused"}': GROWING},
    "LogsDeadLettered": {'beatsrelay_events_dead_lettered_total{reason="malformed"}': GROWING},
    "LogsDropped": {'beatsrelay_events_dropped_total{reason="malformed"}': GROWING},
    "RelayCertificateRefused": {"beatsrelay_certificates_failed_total": GROWING},
    "NoLogsReceived": {"beatsrelay_events_received_total": ZERO},
    "FilebeatMissing": {f'kube_daemonset_status_number_unavailable{{{OURS},daemonset="filebeat"}}': STEADY},
    "NginxDown": {f'kube_deployment_status_replicas_available{{{OURS},deployment="nginx"}}': ZERO},
    "CertificateExpiresSoon": {"probe_ssl_earliest_cert_expiry": f"86400+0x{MINUTES}"},
}
# The series of a site without NFS, where homes are in a folder of the node (fileserver/alternatives/hostpath).
HEALTHY_WITHOUT_NFS = HEALTHY | {"labfiles_nfs_up": GONE}


def build_scenario(alert: str | None, healthy: dict[str, str] = HEALTHY) -> dict[str, Any]:
    """Return a test for promtool: only this alert fires during its fault.

    With None, no alert fires on a healthy site.
    """
    series = healthy | (FAULTS[alert] if alert else {})
    existing = [{"series": name, "values": values} for name, values in series.items() if values != GONE]
    expected = []
    for name, rule in ALERTS.items():
        test: dict[str, Any] = {"alertname": name, "eval_time": f"{MINUTES}m", "exp_alerts": []}
        if name == alert:
            series_labels = dict(re.findall(r'(namespace|daemonset|deployment)="(\w+)"', rule["expr"]))
            absent = re.search(r'absent\(\w+{kind="(\w+)"}', rule["expr"])
            metric_labels = series_labels | ({"kind": absent[1]} if absent else {})
            test["exp_alerts"] = [
                {"exp_labels": metric_labels | rule["labels"], "exp_annotations": rule["annotations"]}
            ]
        expected.append(test)
    return {"name": alert or "no fault", "interval": "1m", "input_series": existing, "alert_rule_test": expected}


# promtool evaluates 25 scenarios, which need 40 s of CPU time.
def test_each_alert_fires_only_in_its_own_fault(tmp_path: Path) -> None:
    check_rules([build_scenario(name) for name in (None, *ALERTS)], tmp_path)


def test_site_without_nfs_alerts_only_on_fileserver_faults(tmp_path: Path) -> None:
    check_rules([build_scenario(name, HEALTHY_WITHOUT_NFS) for name in (None, "FileserverDown")], tmp_path)


def check_rules(tests: list[dict[str, Any]], tmp_path: Path) -> None:
    """Check the syntax of the alert rules, and run promtool's tests of the rules."""
    promtool = need_program("promtool", how="apt install prometheus")
    subprocess.run([promtool, "check", "rules", RULES], check=True)
    file = tmp_path / "tests.json"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    subprocess.run([promtool, "test", "rules", file], check=True)


@pytest.mark.parametrize("name", ALERTS)
def test_alert_links_to_its_runbook(name: str) -> None:
    page, _, anchor = ALERTS[name]["annotations"]["runbook_url"].partition("#")
    assert page.endswith("/docs/admin/alerts.md")
    assert anchor == name.lower()
    assert anchor in anchors((ADMIN / "alerts.md").read_text())


def test_each_fault_belongs_to_an_alert() -> None:
    assert set(FAULTS) == set(ALERTS)
