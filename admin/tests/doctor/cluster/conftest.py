"""The fixtures: a real deployment of the hub and the fileserver, which the doctor checks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import trustme
from labtesting import cluster
from labtesting.cluster import LABS, kubectl

from hub.tests.cluster.deployment import Deployment, deploy, run_github
from tools.components import ROOT


@dataclass(frozen=True)
class Report:
    """The report of the doctor."""

    status: int
    findings: list[dict[str, str]]

    def messages(self, status: str) -> list[tuple[str, str]]:
        """Return the check and the message of each finding with this status."""
        return [(finding["check"], finding["what"]) for finding in self.findings if finding["status"] == status]

    def failed(self, check: str) -> str:
        """Return the failed findings of a check, each with its fix."""
        found = [finding for finding in self.findings if (finding["check"], finding["status"]) == (check, "failed")]
        assert all(finding["fix"] for finding in found)
        return "\n".join(f"{finding['what']} -> {finding['fix']}" for finding in found)


def command(*arguments: str) -> list[str]:
    """Return the command line of the doctor."""
    return [sys.executable, "-m", "labadmin", "doctor", *arguments]


def call_doctor(*checks: str, **environ: str) -> Report:
    """Run the doctor with some checks, or with all."""
    only = [f"--only={check}" for check in checks]
    done = subprocess.run(
        command("--json", *only),
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.stderr == ""
    return Report(done.returncode, json.loads(done.stdout))


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Return the CA that signs the certificates of the fake GitHub and of the relay."""
    return trustme.CA()


@pytest.fixture(scope="session")
def deployment(authority: trustme.CA) -> Iterator[Deployment]:
    """Deploy the hub with a fake GitHub, and wait until the volumes have their reclaim policy."""
    cluster.need_cluster()
    with run_github(authority) as github, deploy(github, authority) as found:
        kubectl("rollout", "status", "daemonset/prepull", "--namespace", LABS, "--timeout=60s")
        cluster.run_cronjob("retain-volumes")
        yield found
