"""Each check passes for a healthy deployment, and reports each of its faults."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from labadmin.doctor.catalogue import CHECKS
from labadmin.doctor.findings import Status
from labadmin.doctor.objects import NAMESPACE

from admin.tests.doctor.cases import CASES, FAILED, SKIPPED, WARNING, Case
from admin.tests.doctor.faults import PRESSED, with_hostpath
from admin.tests.doctor.site import REFUSED, TOKEN, Site, answer


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize("check", [check.name for check in CHECKS])
def test_a_check_passes_what_is_well(site: Site, check: str) -> None:
    verdicts = site.judge(check)
    assert verdicts
    assert [one for one in verdicts if one.status is not Status.OK] == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_check_says_what_is_wrong(site: Site, case: Case) -> None:
    case.change(site)
    assert case.says in site.said(case.check, case.status)
    if case.status is not SKIPPED:
        assert all(one.fix for one in site.judge(case.check) if one.status is case.status)
        assert all(one.status is not Status.OK for one in site.judge(case.check) if case.says in one.what)


def test_every_check_is_seen_to_fire() -> None:
    assert {case.check for case in CASES if case.status is FAILED} == {check.name for check in CHECKS}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_whatever_is_wrong_no_secret_is_shown_and_no_check_breaks(site: Site, case: Case) -> None:
    case.change(site)
    said = json.dumps([[one.what, one.fix] for check in CHECKS for one in check.judge(site.state())])
    assert TOKEN.decode() not in said
    assert "a-password" not in said
    assert "PRIVATE KEY" not in said


def test_a_warning_of_one_thing_hides_nothing_of_another(site: Site) -> None:
    site.find("Node", "node0")["status"]["conditions"] = PRESSED
    assert [one.status for one in site.judge("nodes")] == [WARNING, Status.OK]


def test_a_refusal_is_one_only_if_it_is_for_the_pods_security(site: Site) -> None:
    site.answers["privileged"] = replace(answer("", 1, REFUSED), err="the server is busy")
    assert [one.status for one in site.judge("pod-security")] == [WARNING]


def test_a_wildcard_stands_for_one_label(site: Site) -> None:
    site.certificate("nginx-tls", "*.example.org")
    assert site.said("certificate", FAILED) == ""
    site.certificate("nginx-tls", "*.org")
    assert "wanted lab.example.org" in site.said("certificate", FAILED)


def test_a_site_without_nfs_is_compared_with_its_own_manifests(site: Site) -> None:
    with_hostpath(site)
    assert site.said("objects", FAILED) == ""
    site.remove("NetworkPolicy", "fileserver")
    (missing,) = (one for one in site.judge("objects") if one.status is FAILED)
    assert missing.fix == "kubectl apply -f fileserver/alternatives/hostpath"
    assert f"NetworkPolicy fileserver in {NAMESPACE}" in missing.what


def test_the_allowed_organizations_have_a_second_name(site: Site) -> None:
    data = site.find("ConfigMap", "hub")["data"]
    data["GITHUB_ALLOWED_ORGANIZATIONS"] = data.pop("GITHUB_ORGANIZATION_WHITELIST")
    assert site.said("settings", FAILED) == ""
    del data["GITHUB_ALLOWED_ORGANIZATIONS"]
    assert "GITHUB_ORGANIZATION_WHITELIST missing" in site.said("settings", FAILED)
