"""The findings as text for a person, and as JSON for a program."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from labadmin.doctor.findings import Finding, Status

MARKS = {Status.OK: "ok", Status.WARNING: "warning", Status.FAILED: "FAILED", Status.SKIPPED: "skipped"}


def printable(text: str) -> str:
    """Return text of the cluster as one printable line: the author of a log line must not control the terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()


def format_lines(findings: Sequence[Finding], seconds: float) -> Iterator[str]:
    """Yield the lines of the report."""
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
    """Return the findings as a JSON list."""
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
