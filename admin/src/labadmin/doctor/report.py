"""The doctor's findings, for a person and for a program."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from labadmin.doctor.findings import Finding, Status

MARKS = {Status.OK: "ok", Status.WARNING: "warning", Status.FAILED: "FAILED", Status.SKIPPED: "skipped"}


def printable(text: str) -> str:
    """Make one line of what came from the cluster: who writes a log line does not control the reader's terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()


def format_lines(findings: Sequence[Finding], seconds: float) -> Iterator[str]:
    """Give the lines for a person."""
    width = max((len(one.check) for one in findings), default=0)
    group = ""
    for one in findings:
        if one.group != group:
            group = one.group
            yield f"\n{group}"
        yield f"  {MARKS[one.verdict.status]:<7}  {one.check:<{width}}  {printable(one.verdict.what)}"
        if one.verdict.fix:
            yield f"           {'':<{width}}  fix: {printable(one.verdict.fix)}"
    count = Counter(one.verdict.status for one in findings)
    yield f"\n{', '.join(f'{count[status]} {MARKS[status]}' for status in Status)}; {seconds:.0f} s"


def format_json(findings: Sequence[Finding]) -> str:
    """Give a list of objects."""
    keys = [
        {
            "group": one.group,
            "check": one.check,
            "status": one.verdict.status.value,
            "what": printable(one.verdict.what),
            "fix": printable(one.verdict.fix),
        }
        for one in findings
    ]
    return json.dumps(keys, indent=2)
