"""The line numbers of the keys in a TOML file, which tomllib does not report.

This module has no TOML grammar. It splits the file into statements with tomllib: a statement is the smallest number of
lines that tomllib can parse. So it finds every key that tomllib finds.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]


def find_lines(text: str) -> dict[Path, int]:
    """Return the line, counted from 1, of each table, key and list element.

    An integer in a path is the index of a table in an array of tables, or of an element in a list.

    Parameters
    ----------
    text
        Valid TOML.
    """
    lines: dict[Path, int] = {}
    lengths: dict[Path, int] = {}
    here: Path = ()
    for first, statement in split_statements(text):
        if statement.lstrip().startswith("["):
            here = resolve_header(tomllib.loads(statement), lengths)
            for depth in range(1, len(here) + 1):
                lines.setdefault(here[:depth], first)
        else:
            for path, line in find_values(here, tomllib.loads(statement), statement, first):
                lines.setdefault(path, line)
    return lines


def split_statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield each statement with the number of its first line, without blank lines and comments before it."""
    first, pending = 1, ""
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        first, pending = (first, pending + line) if pending else (number, line)
        if is_toml(pending):
            yield first, pending
            pending = ""


def is_toml(text: str) -> bool:
    """Return whether a text is valid TOML."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def resolve_header(header: Mapping[str, Any], lengths: dict[Path, int]) -> Path:
    """Return the path of the table that a header starts, and count the tables of each array of tables."""
    path: Path = ()
    inside: Any = header
    while inside:
        if isinstance(inside, list):  # in [[a.b]], the value of the last name (b) is a list
            lengths[path] = lengths.get(path, 0) + 1
            return (*path, lengths[path] - 1)
        name, inside = next(iter(inside.items()))
        path = (*path, name)
        if path in lengths and not isinstance(inside, list):  # the table is inside the last table of an array
            path = (*path, lengths[path] - 1)
    return path


def find_values(path: Path, value: Any, statement: str, first: int) -> Iterator[tuple[Path, int]]:
    """Yield the line of each key of a statement, and of the elements of its lists."""
    for name, inside in value.items():
        yield (*path, name), first
        if isinstance(inside, dict):
            yield from find_values((*path, name), inside, statement, first)
        elif isinstance(inside, list):
            yield from (((*path, name, index), line) for index, line in find_elements(statement, first))


def find_elements(statement: str, first: int) -> Iterator[tuple[int, int]]:
    """Yield the index and the line of each list element.

    To find them, the function cuts the statement after each of its lines and closes the list there. If the parsed list
    is now longer than after the previous line, the new elements are on this line.
    """
    seen = 0
    lines = statement.splitlines(keepends=True)
    for number in range(1, len(lines) + 1):
        shorter = "".join(lines[:number])
        for attempt in (shorter, shorter + "\n]"):
            if is_toml(attempt):
                count = max(map(len, find_lists(tomllib.loads(attempt))), default=0)
                yield from ((index, first + number - 1) for index in range(seen, count))
                seen = max(seen, count)
                break


def find_lists(value: Any) -> Iterator[list[Any]]:
    """Yield the outermost lists of a parsed value."""
    if isinstance(value, list):
        yield value
    elif isinstance(value, dict):
        for inside in value.values():
            yield from find_lists(inside)
