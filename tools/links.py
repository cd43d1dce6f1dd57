"""Check the links in all Markdown files of the repository: the target file and its heading exist.

Only the form of links to other hosts is checked, because CI cannot reach them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tools.lint import tracked

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2`*~*\s*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?\s*$", re.MULTILINE)
AUTOLINK = re.compile(r"<(https?:[^>\s]*)>")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
ID = re.compile(r"<a (?:id|name)=\"([^\"]+)\"")


def anchors(text: str) -> set[str]:
    """Return the anchors of a page, with the names that GitHub generates."""
    counts: dict[str, int] = {}
    names = set(ID.findall(text))
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count = counts[name] = counts.get(name, -1) + 1
        names.add(f"{name}-{count}" if count else name)
    return names


def links(text: str) -> Iterator[str]:
    """Yield the targets of a page's links, without those in code."""
    prose = CODE.sub("code", FENCE.sub("", text))
    for pattern in (LINK, REFERENCE, AUTOLINK):
        yield from pattern.findall(prose)


def find_fault(page: Path, link: str, root: Path) -> str | None:
    """Return a description of the fault of a link in a page, or None if the link is correct."""
    parts = urlsplit(link)
    if parts.scheme == "mailto":
        return None
    if parts.scheme or parts.netloc:
        valid = parts.scheme in {"http", "https"} and parts.hostname
        return None if valid else "not an address, wanted http(s)://host"
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page.resolve()
    if not target.is_relative_to(root.resolve()):
        return "the target is outside the repository"
    if not target.exists():
        return "no such file"
    if parts.fragment and target.suffix == ".md" and parts.fragment not in anchors(target.read_text()):
        return f"no such heading in {target.name}"
    return None


def check(pages: list[Path], root: Path) -> list[str]:
    """Return a message for each broken link."""
    return [
        f"{page.relative_to(root)}: {link}: {fault}"
        for page in pages
        for link in links(page.read_text())
        if (fault := find_fault(page, link, root))
    ]


def main() -> None:
    """Check all pages, and exit with an error if a link is broken."""
    pages = [ROOT / path for path in tracked() if path.suffix == ".md"]
    faults = check(pages, ROOT)
    print(*faults, sep="\n", end="\n" if faults else "")
    if faults:
        sys.exit(f"links: {len(faults)} broken links")
    print(f"links: all links of {len(pages)} pages are correct")


if __name__ == "__main__":
    main()
