"""What the site of docs/ does with links to files outside it: they lead to the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def lead_out(markdown: str, page: Path, repository: str) -> str:
    """Make links from a page to what is not in docs/ links to the repository; the others stay."""

    def change(found: re.Match[str]) -> str:
        path, mark, anchor = found[2].partition("#")
        if not path or ":" in path:
            return found[0]
        target = (page.parent / path).resolve()
        if target.is_relative_to(DOCS) or not target.is_relative_to(ROOT):
            return found[0]
        kind = "tree" if target.is_dir() else "blob"
        return f"{found[1]}{repository}/{kind}/main/{target.relative_to(ROOT)}{mark}{anchor}{found[3]}"

    return LINK.sub(change, markdown)


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Change a page before MkDocs reads it."""
    return lead_out(markdown, Path(page.file.abs_src_path), config["extra"]["repository"])
