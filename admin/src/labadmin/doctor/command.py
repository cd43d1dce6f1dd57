"""The command `labadmin doctor`."""

from __future__ import annotations

import argparse
import signal
import time

from labadmin.doctor.catalogue import CHECKS, Check
from labadmin.doctor.cluster_state import ClusterState
from labadmin.doctor.collector import UnreachableError, collect_state
from labadmin.doctor.findings import Finding, Status
from labadmin.doctor.report import format_json, format_lines
from labadmin.kubectl import Kubectl

SUMMARY = "check the deployment in kubectl's current context"
DESCRIPTION = (
    "Check the deployment in kubectl's current context, and print each problem with its fix. The doctor changes "
    "nothing. One small pod runs in the labs' namespace for some seconds, to test which addresses labs can reach. The "
    "relay sends a test message to the broker. "
    "Exit status: 0 no check failed, there may be warnings; 1 a check failed; 2 no cluster answers. "
    "docs/admin/doctor.md describes each check."
)
OK, FAILED, UNREACHABLE = 0, 1, 2


def run_checks(kubectl: Kubectl, checks: list[Check]) -> tuple[list[Finding], int]:
    """Run checks. Return the findings and the exit status."""
    needed = {name for check in checks for name in check.needs}
    # The check `clock` reads the answers of experiments for other checks. If `clock` is the only check, two experiments
    # are enough.
    if [check.name for check in checks] == ["clock"]:
        needed = {"time", "hub"}
    try:
        state: ClusterState = collect_state(kubectl, needed)
    except UnreachableError as error:
        return [Finding("cluster", "api", error.verdict)], UNREACHABLE
    findings = [finding for check in checks for finding in check.run(state)]
    return findings, FAILED if any(finding.verdict.status is Status.FAILED for finding in findings) else OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    names = [check.name for check in CHECKS]
    parser.add_argument("--json", action="store_true", help="print the findings as a JSON list")
    parser.add_argument(
        "--only",
        action="append",
        metavar="CHECK",
        choices=names,
        help=f"run only this check (repeatable): {', '.join(names)}",
    )
    parser.add_argument("--context", default="", help="context of the kubeconfig (default: the current one)")


def run(options: argparse.Namespace) -> int:
    """Check the deployment, print a report and return the exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    start = time.monotonic()
    chosen = [check for check in CHECKS if not options.only or check.name in options.only]
    findings, status = run_checks(Kubectl(options.context), chosen)
    print(
        format_json(findings) if options.json else "\n".join(format_lines(findings, time.monotonic() - start)),
        flush=True,
    )
    return status
