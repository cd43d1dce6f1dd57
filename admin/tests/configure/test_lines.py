"""Tests that the line number of every key in a TOML file is found, in every notation of TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from labadmin.configure.toml_lines import Path, find_lines

from tools.components import ROOT

TEXT = '''# a comment
plain = 1

"quo.ted" = """
[not] = "a table"
"""
dotted.inside.deep = [  # a comment ]
  "x", "y]",

  "z",
]
[table]
inline = { file = "x", list = [1, 2] }
[table.below]
key = 1
[[array.of]]
name = "first"
[[array.of]]
name = "second"
[array.of.below]
deep = 1
[[array.of.nested]]
deeper = 1
["a space"]
"dot.ted".key = 3'''
LINES: dict[Path, int] = {
    ("plain",): 2,
    ("quo.ted",): 4,
    ("dotted", "inside", "deep"): 7,
    ("dotted", "inside", "deep", 0): 8,
    ("dotted", "inside", "deep", 1): 8,
    ("dotted", "inside", "deep", 2): 10,
    ("table",): 12,
    ("table", "inline", "list", 1): 13,
    ("table", "below"): 14,
    ("table", "below", "key"): 15,
    ("array", "of", 0): 16,
    ("array", "of", 0, "name"): 17,
    ("array", "of", 1): 18,
    ("array", "of", 1, "name"): 19,
    ("array", "of", 1, "below"): 20,
    ("array", "of", 1, "below", "deep"): 21,
    ("array", "of", 1, "nested", 0): 22,
    ("array", "of", 1, "nested", 0, "deeper"): 23,
    ("a space",): 24,
    ("a space", "dot.ted", "key"): 25,
}


def paths(value: Any, above: Path = ()) -> Iterator[Path]:
    """Yield the paths of all tables, keys and list elements of a parsed TOML file."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, found in inside:
        yield (*above, name)
        yield from paths(found, (*above, name))


@pytest.mark.parametrize("path", LINES, ids=str)
def test_line_of_each_key_is_found(path: Path) -> None:
    assert find_lines(TEXT)[path] == LINES[path]


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.replace("\n", "\r\n"),
        (ROOT / "pyproject.toml").read_text(),
        (ROOT / "site.example.toml").read_text(),
        (ROOT / "hub/src/labhub/data/menu.toml").read_text(),
    ],
    ids=["ours", "CRLF", "pyproject.toml", "site.example.toml", "menu.toml"],
)
def test_all_keys_of_a_file_are_found(text: str) -> None:
    assert set(find_lines(text)) == set(paths(tomllib.loads(text)))
