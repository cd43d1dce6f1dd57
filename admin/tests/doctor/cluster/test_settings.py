"""Tests of the doctor's findings about wrong and missing settings of a site on a real cluster."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest
import trustme
from labtesting import cluster
from labtesting.cluster import NAMESPACE, kubectl
from labtesting.hub_process import wait_until

from admin.tests.doctor.cluster.conftest import call_doctor
from admin.tests.doctor.cluster.objects import config, issue, patched, secret
from hub.tests.cluster.deployment import Deployment
from hub.tests.cluster.node import groups_policy


def test_rejected_client_secret_is_reported(deployment: Deployment) -> None:
    world = deployment.github.world
    usual = world.app
    world.app = replace(usual, client_secret="renewed-at-github")
    try:
        report = call_doctor("github")
    finally:
        world.app = usual
    assert "no user can log in -> create a new client secret" in report.failed("github")
    assert usual.client_secret not in json.dumps(report.findings)


def test_renamed_organization_is_reported(deployment: Deployment) -> None:
    found = deployment.github.world.find_organization("lsst-sqre")
    assert found is not None
    found.login = "rubin-sqre"
    try:
        assert "GitHub has no organization lsst-sqre" in call_doctor("github").failed("github")
    finally:
        found.login = "lsst-sqre"


def test_callback_url_unknown_to_the_app_is_reported(deployment: Deployment) -> None:
    world = deployment.github.world
    usual = world.app
    world.app = replace(usual, callback="https://elsewhere.example/hub/oauth_callback")
    try:
        assert "has another callback URL" in call_doctor("github").failed("github")
    finally:
        world.app = usual


@pytest.mark.usefixtures("deployment")
def test_invalid_callback_url_or_host_is_reported() -> None:
    usual = cluster.get("configmap", "hub")["data"]["OAUTH_CALLBACK_URL"]
    for url, expected in (
        (f"{usual}s", "wanted https://<your host>/hub/oauth_callback"),
        (usual, "in NGINX_SERVER_NAME"),
    ):
        cluster.apply(config("nginx", NGINX_SERVER_NAME="lab.example.org"))
        try:
            change, back = ({"data": {"OAUTH_CALLBACK_URL": value}} for value in (url, usual))
            with patched("configmap", "hub", change, back):
                assert expected in call_doctor("callback").failed("callback")
        finally:
            kubectl("delete", "configmap", "nginx", "--namespace", NAMESPACE)


@pytest.mark.usefixtures("deployment")
def test_missing_and_differing_secret_keys_are_reported() -> None:
    stored = cluster.get("secret", "fileserver")["data"]["FILESERVER_TOKEN"]
    back = {"data": {"FILESERVER_TOKEN": stored}}
    with patched("secret", "fileserver", {"data": {"FILESERVER_TOKEN": None}}, back):
        assert "Secret fileserver: FILESERVER_TOKEN missing" in call_doctor("settings").failed("settings")
    with patched("secret", "fileserver", {"data": {"FILESERVER_TOKEN": "b3RoZXI="}}, back):
        report = call_doctor("tokens")
    assert "different values of FILESERVER_TOKEN" in report.failed("tokens")
    assert base64.b64decode(stored).decode() not in json.dumps(report.findings)


@pytest.mark.usefixtures("deployment")
def test_expired_certificate_is_reported(authority: trustme.CA) -> None:
    cluster.apply(secret("nginx-tls", issue(authority, "127.0.0.1", timedelta(days=-2))))
    try:
        assert "Secret nginx-tls: the certificate expired on" in call_doctor("certificate").failed("certificate")
    finally:
        kubectl("delete", "secret", "nginx-tls", "--namespace", NAMESPACE)


@pytest.mark.usefixtures("deployment")
def test_missing_setting_and_error_of_the_hub_are_reported() -> None:
    usual = cluster.get("configmap", "hub")["data"]["GITHUB_CLIENT_ID"]
    restart = ["rollout", "restart", "deployment/hub", "--namespace", NAMESPACE]

    def is_reported() -> bool:
        failures = call_doctor("workloads").failed("workloads")
        return "hub ended with: " in failures and "GITHUB_CLIENT_ID" in failures

    with patched("configmap", "hub", {"data": {"GITHUB_CLIENT_ID": None}}, {"data": {"GITHUB_CLIENT_ID": usual}}):
        kubectl(*restart)
        wait_until(is_reported, "the doctor reports the last line of the hub's log")
        report = call_doctor("settings")
    kubectl(*restart)
    cluster.wait_for_rollout("hub", 120)
    assert "ConfigMap hub: GITHUB_CLIENT_ID missing or empty" in report.failed("settings")


@pytest.mark.usefixtures("deployment")
def test_unsupported_groups_policy_is_reported() -> None:
    usual = groups_policy()
    # On a node that supports the policy Strict, the check of the groups can only warn.
    other, status, expected = {
        "Merge": ("Strict", "failed", "found LAB_GROUPS_POLICY Strict, which these nodes do not support"),
        "Strict": ("Merge", "warning", "found LAB_GROUPS_POLICY Merge, wanted Strict"),
    }[usual]
    change, back = ({"data": {"LAB_GROUPS_POLICY": value}} for value in (other, usual))
    with patched("configmap", "hub", change, back):
        findings = call_doctor("groups-policy").messages(status)
    assert expected in dict(findings)["groups-policy"]
