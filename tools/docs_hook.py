"""A MkDocs hook: links from docs/ to other files of the repository become links to GitHub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def link_to_repository(markdown: str, page: Path, repository: str) -> str:
    """Replace the links of a page to files outside docs/ by links to the repository."""

    def replace(link: re.Match[str]) -> str:
        path, mark, anchor = link[2].partition("#")
        if not path or ":" in path:
            return link[0]
        target = (page.parent / path).resolve()
        if target.is_relative_to(DOCS) or not target.is_relative_to(ROOT):
            return link[0]
        kind = "tree" if target.is_dir() else "blob"
        return f"{link[1]}{repository}/{kind}/main/{target.relative_to(ROOT)}{mark}{anchor}{link[3]}"

    return LINK.sub(replace, markdown)


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Replace the links of a page before MkDocs parses it."""
    return link_to_repository(markdown, Path(page.file.abs_src_path), config["extra"]["repository"])
