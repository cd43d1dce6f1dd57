"""A real deployment of the hub and the fileserver, for the doctor to look at."""

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
    """What the doctor said."""

    status: int
    findings: list[dict[str, str]]

    def said(self, status: str) -> list[tuple[str, str]]:
        """Give check and sentence of what has this status."""
        return [(one["check"], one["what"]) for one in self.findings if one["status"] == status]

    def failed(self, check: str) -> str:
        """Give what failed in a check, each with its fix."""
        found = [one for one in self.findings if (one["check"], one["status"]) == (check, "failed")]
        assert all(one["fix"] for one in found)
        return "\n".join(f"{one['what']} -> {one['fix']}" for one in found)


def command(*arguments: str) -> list[str]:
    """Give the doctor's command."""
    return [sys.executable, "-m", "labadmin", "doctor", *arguments]


def call_doctor(*checks: str, **environ: str) -> Report:
    """Call the doctor, for all or some checks."""
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
    """Give the authority that signs GitHub's certificate, and the relay's."""
    return trustme.CA()


@pytest.fixture(scope="session")
def deployment(authority: trustme.CA) -> Iterator[Deployment]:
    """Give a deployed hub."""
    cluster.need_cluster()
    with run_github(authority) as github, deploy(github, authority) as found:
        kubectl("rollout", "status", "daemonset/prepull", "--namespace", LABS, "--timeout=60s")
        yield found
