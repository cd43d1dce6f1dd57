"""The command `labadmin doctor`."""

from __future__ import annotations

import argparse
import signal
import time

from labadmin.doctor.catalogue import CHECKS, Check
from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.collector import UnreachableError, collect_state
from labadmin.doctor.findings import Finding, Status
from labadmin.doctor.kubectl import Kubectl
from labadmin.doctor.report import format_json, format_lines

SUMMARY = "examine the deployment that kubectl names"
DESCRIPTION = (
    "Examine the deployment that kubectl names, and print each problem with its fix. Nothing is changed. One small pod "
    "runs for some seconds where labs run, to test what they can reach. The relay sends a test message to the broker. "
    "Exit status: 0 no check failed, there may be warnings; 1 a check failed; 2 no cluster to examine. "
    "docs/admin/doctor.md describes each check."
)
OK, FAILED, UNREACHABLE = 0, 1, 2


def run_checks(kubectl: Kubectl, checks: list[Check]) -> tuple[list[Finding], int]:
    """Run checks. Return the findings and the exit status."""
    needed = {name for check in checks for name in check.needs}
    # The check of the clocks reads answers of other checks' experiments. Alone, it needs two of them.
    if [check.name for check in checks] == ["clock"]:
        needed = {"time", "hub"}
    try:
        state: ClusterState = collect_state(kubectl, needed)
    except UnreachableError as error:
        return [Finding("cluster", "api", error.verdict)], UNREACHABLE
    findings = [finding for check in checks for finding in check.run(state)]
    return findings, FAILED if any(one.verdict.status is Status.FAILED for one in findings) else OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    names = [check.name for check in CHECKS]
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("--only", action="append", metavar="CHECK", choices=names, help=f"one of {', '.join(names)}")
    parser.add_argument("--context", default="", help="a context of the kubeconfig (the current one)")


def run(options: argparse.Namespace) -> int:
    """Examine the deployment, print a report and return the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    chosen = [check for check in CHECKS if not options.only or check.name in options.only]
    findings, status = run_checks(Kubectl(options.context), chosen)
    print(
        format_json(findings) if options.json else "\n".join(format_lines(findings, time.monotonic() - start)),
        flush=True,
    )
    return status
