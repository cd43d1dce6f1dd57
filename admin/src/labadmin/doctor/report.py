"""The report of the findings, as text or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from labadmin.doctor.findings import Finding, Status

MARKS = {Status.OK: "ok", Status.WARNING: "warning", Status.FAILED: "FAILED", Status.SKIPPED: "skipped"}


def printable(text: str) -> str:
    """Return a text from the cluster as one line without control characters, which could control the terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()


def format_lines(findings: Sequence[Finding], seconds: float) -> Iterator[str]:
    """Yield the lines of the report for the terminal."""
    width = max((len(finding.check) for finding in findings), default=0)
    group = ""
    for finding in findings:
        verdict = finding.verdict
        if finding.group != group:
            group = finding.group
            yield f"\n{group}"
        yield f"  {MARKS[verdict.status]:<7}  {finding.check:<{width}}  {printable(verdict.what)}"
        if verdict.fix:
            yield f"           {'':<{width}}  fix: {printable(verdict.fix)}"
    count = Counter(finding.verdict.status for finding in findings)
    yield f"\n{', '.join(f'{count[status]} {MARKS[status]}' for status in Status)}; {seconds:.0f} s"


def format_json(findings: Sequence[Finding]) -> str:
    """Return the findings as a JSON list."""
    rows = [
        {
            "group": finding.group,
            "check": finding.check,
            "status": finding.verdict.status.value,
            "what": printable(finding.verdict.what),
            "fix": printable(finding.verdict.fix),
        }
        for finding in findings
    ]
    return json.dumps(rows, indent=2)
