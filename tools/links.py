"""Check the links of every Markdown file of the repository: the file is there, and so is the anchor.

Other hosts' addresses are only looked at for their form: CI does not reach them.
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
    """Give the anchors of a page, as GitHub names them."""
    found: dict[str, int] = {}
    names = set(ID.findall(text))
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        count = found[name] = found.get(name, -1) + 1
        names.add(f"{name}-{count}" if count else name)
    return names


def links(text: str) -> Iterator[str]:
    """Give the targets of a page's links; what is code is none."""
    prose = CODE.sub("code", FENCE.sub("", text))
    for pattern in (LINK, REFERENCE, AUTOLINK):
        yield from pattern.findall(prose)


def wrong(page: Path, link: str, root: Path) -> str | None:
    """Say what is wrong with a link of a page; None: nothing."""
    parts = urlsplit(link)
    if parts.scheme == "mailto":
        return None
    if parts.scheme or parts.netloc:
        fits = parts.scheme in {"http", "https"} and parts.hostname
        return None if fits else "found no address, wanted http(s)://host"
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page.resolve()
    if not target.is_relative_to(root.resolve()):
        return "leads out of the repository"
    if not target.exists():
        return "no such file"
    if parts.fragment and target.suffix == ".md" and parts.fragment not in anchors(target.read_text()):
        return f"no such heading in {target.name}"
    return None


def check(pages: list[Path], root: Path) -> list[str]:
    """Give a line for each link that is wrong."""
    return [
        f"{page.relative_to(root)}: {link}: {fault}"
        for page in pages
        for link in links(page.read_text())
        if (fault := wrong(page, link, root))
    ]


def main() -> None:
    """Check all; fail if one is wrong."""
    pages = [ROOT / path for path in tracked() if path.suffix == ".md"]
    faults = check(pages, ROOT)
    print(*faults, sep="\n", end="\n" if faults else "")
    if faults:
        sys.exit(f"links: {len(faults)} are wrong")
    print(f"links: all of {len(pages)} pages are right")


if __name__ == "__main__":
    main()
