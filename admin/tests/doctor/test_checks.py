"""Tests that each check of the doctor passes for a healthy deployment, and reports the faults in `cases.py`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from labadmin.doctor.catalogue import CHECKS
from labadmin.doctor.findings import Status
from labadmin.objects import ALLOW_DELETION, NAMESPACE

from admin.tests.doctor.cases import CASES, FAILED, SKIPPED, WARNING, Case
from admin.tests.doctor.faults import PRESSED, with_hostpath
from admin.tests.doctor.site import DENIED, REFUSED, TOKEN, Site, answer


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("check", [check.name for check in CHECKS])
def test_check_passes_for_a_healthy_site(site: Site, check: str) -> None:
    verdicts = site.judge(check)
    assert verdicts
    assert [verdict for verdict in verdicts if verdict.status is not Status.OK] == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_check_reports_the_fault(site: Site, case: Case) -> None:
    case.change(site)
    assert case.expected in site.messages(case.check, case.status)
    if case.status is not SKIPPED:
        assert all(verdict.fix for verdict in site.judge(case.check) if verdict.status is case.status)
        assert all(
            verdict.status is not Status.OK for verdict in site.judge(case.check) if case.expected in verdict.what
        )


def test_each_check_has_a_failing_case() -> None:
    assert {case.check for case in CASES if case.status is FAILED} == {check.name for check in CHECKS}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_fault_reveals_a_secret_or_breaks_a_check(site: Site, case: Case) -> None:
    case.change(site)
    printed = json.dumps([[verdict.what, verdict.fix] for check in CHECKS for verdict in check.judge(site.state())])
    assert TOKEN.decode() not in printed
    assert "a-password" not in printed
    assert "PRIVATE KEY" not in printed


def test_warning_about_one_node_keeps_other_results(site: Site) -> None:
    site.find("Node", "node0")["status"]["conditions"] = PRESSED
    assert [verdict.status for verdict in site.judge("nodes")] == [WARNING, Status.OK]


def test_other_error_is_no_pod_security_refusal(site: Site) -> None:
    site.answers["privileged"] = replace(answer("", 1, REFUSED), err="the server is busy")
    assert [verdict.status for verdict in site.judge("pod-security")] == [WARNING]


def test_a_wildcard_stands_for_one_label(site: Site) -> None:
    site.certificate("nginx-tls", "*.example.org")
    assert site.messages("certificate", FAILED) == ""
    site.certificate("nginx-tls", "*.org")
    assert "wanted lab.example.org" in site.messages("certificate", FAILED)


def test_a_site_without_nfs_is_compared_with_its_own_manifests(site: Site) -> None:
    with_hostpath(site)
    assert site.messages("objects", FAILED) == ""
    site.remove("NetworkPolicy", "fileserver")
    (missing,) = (verdict for verdict in site.judge("objects") if verdict.status is FAILED)
    assert missing.fix == "kubectl apply -f fileserver/alternatives/hostpath"
    assert f"NetworkPolicy fileserver in {NAMESPACE}" in missing.what


def test_the_allowed_organizations_have_a_second_name(site: Site) -> None:
    data = site.find("ConfigMap", "hub")["data"]
    data["GITHUB_ALLOWED_ORGANIZATIONS"] = data.pop("GITHUB_ORGANIZATION_WHITELIST")
    assert site.messages("settings", FAILED) == ""
    del data["GITHUB_ALLOWED_ORGANIZATIONS"]
    assert "GITHUB_ORGANIZATION_WHITELIST missing" in site.messages("settings", FAILED)


def test_forgotten_annotation_is_named_as_the_reason(site: Site) -> None:
    site.find("PersistentVolumeClaim", "hub")["metadata"]["annotations"] = {ALLOW_DELETION: "true"}
    site.answers["deletion"] = answer("persistentvolumeclaim/hub\n", 1, DENIED)
    (verdict,) = site.judge("data-policy")
    assert verdict.fix == f"kubectl -n {NAMESPACE} annotate persistentvolumeclaim hub {ALLOW_DELETION}-"
