"""Tests of the link checker: links that the checker accepts, and links that it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.links import anchors, check


def find_problems(folder: Path, text: str) -> list[str]:
    """Check the links of a page with this text, and return the problems. A page `other.md` is in the same folder."""
    (folder / "other.md").write_text("# A title, `code` and more\n\n## Twice\n\n## Twice\n")
    page = folder / "page.md"
    page.write_text(text)
    return check([page], folder)


@pytest.mark.parametrize(
    "link", ["other.md", "other.md#twice-1", "other.md#a-title-code-and-more", "#here", ".", "https://example.org/a#b"]
)
def test_valid_link_passes(tmp_path: Path, link: str) -> None:
    assert find_problems(tmp_path, f"# Here\n\n[x]({link})\n") == []


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("gone.md", "no such file"),
        ("other.md#gone", "no such heading"),
        ("#gone", "no such heading"),
        ("../../outside.md", "outside the repository"),
        ("https:///nowhere", "not an address"),
        ("ftp://example.org", "not an address"),
    ],
)
def test_broken_link_is_reported(tmp_path: Path, link: str, problem: str) -> None:
    (message,) = find_problems(tmp_path, f"# Here\n\n[x]({link})\n")
    assert message.startswith(f"page.md: {link}: ")
    assert problem in message


def test_pictures_and_references_are_checked(tmp_path: Path) -> None:
    assert len(find_problems(tmp_path, "![x](gone.png)\n\n[y]: gone.md\n")) == 2


def test_links_in_code_are_ignored(tmp_path: Path) -> None:
    assert find_problems(tmp_path, "`[x](gone.md)`\n\n```sh\n[x](gone.md)\n# no heading\n```\n") == []
    assert anchors("```sh\n# no heading\n```\n") == set()
