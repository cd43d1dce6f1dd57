"""Look at the deployment that kubectl names, and say what is wrong with it and what to do: `nox -s doctor`.

It changes nothing. One small pod runs for some seconds where labs run, to see what they reach, and the relay sends one
test message to the broker. Exit status: 0 all is well, warnings included; 1 something is wrong; 2 there was no cluster
to look at. docs/admin/doctor.md says what each check means.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time

from tools.doctor.catalogue import CHECKS, Check
from tools.doctor.finding import Finding, Status
from tools.doctor.gather import Unreachable, gather
from tools.doctor.kubectl import Kubectl
from tools.doctor.report import as_json, lines

WELL, WRONG, HELPLESS, INTERRUPTED = 0, 1, 2, 130


def examine(kubectl: Kubectl, checks: list[Check]) -> tuple[list[Finding], int]:
    """Run checks; give the findings and the exit status."""
    needed = {name for check in checks for name in check.needs}
    # The clock listens to whoever talks anyway.
    if [check.name for check in checks] == ["clock"]:
        needed = {"time", "hub"}
    try:
        facts = gather(kubectl, needed)
    except Unreachable as error:
        return [Finding("cluster", "api", error.verdict)], HELPLESS
    findings = [finding for check in checks for finding in check.run(facts)]
    return findings, WRONG if any(one.verdict.status is Status.FAILED for one in findings) else WELL


def main() -> None:
    """Examine, report, and end with a status."""
    names = [check.name for check in CHECKS]
    parser = argparse.ArgumentParser(prog="nox -s doctor --", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print a list of objects")
    parser.add_argument("--only", action="append", metavar="CHECK", choices=names, help=f"one of {', '.join(names)}")
    parser.add_argument("--context", default="", help="of the kubeconfig (the current one)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    chosen = [check for check in CHECKS if not options.only or check.name in options.only]
    try:
        findings, status = examine(Kubectl(options.context), chosen)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    print(as_json(findings) if options.json else "\n".join(lines(findings, time.monotonic() - began)), flush=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
