"""On which line of a TOML file a key stands, which tomllib does not tell.

A file is cut into statements by asking tomllib itself: a statement is the fewest lines, from the end of the one before
it, that are TOML. So whatever tomllib understands is found, and nothing here knows TOML's grammar.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]


def find_lines(text: str) -> dict[Path, int]:
    """Give the line, from 1 on, of each table, key and element of a list; an index stands for a table of an array.

    Parameters
    ----------
    text
        TOML without a mistake.
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
    """Give each statement, without blank lines and comments before it, and its first line."""
    first, pending = 1, ""
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not pending and (not line.strip() or line.lstrip().startswith("#")):
            continue
        first, pending = (first, pending + line) if pending else (number, line)
        if is_toml(pending):
            yield first, pending
            pending = ""


def is_toml(text: str) -> bool:
    """Tell whether this is TOML."""
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def resolve_header(header: Mapping[str, Any], lengths: dict[Path, int]) -> Path:
    """Give the path that a header leads to; counts the tables of each array."""
    path: Path = ()
    inside: Any = header
    while inside:
        if isinstance(inside, list):  # [[...]]: always the last name
            lengths[path] = lengths.get(path, 0) + 1
            return (*path, lengths[path] - 1)
        name, inside = next(iter(inside.items()))
        path = (*path, name)
        if path in lengths and not isinstance(inside, list):  # a table inside the array's newest
            path = (*path, lengths[path] - 1)
    return path


def find_values(path: Path, value: Any, statement: str, first: int) -> Iterator[tuple[Path, int]]:
    """Give each key of a statement, and where the elements of a list begin."""
    for name, inside in value.items():
        yield (*path, name), first
        if isinstance(inside, dict):
            yield from find_values((*path, name), inside, statement, first)
        elif isinstance(inside, list):
            yield from (((*path, name, index), line) for index, line in find_elements(statement, first))


def find_elements(statement: str, first: int) -> Iterator[tuple[int, int]]:
    """Give the elements of a list over several lines: the list closed after each line is TOML, too."""
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
    """Give the outermost lists of a statement's value."""
    if isinstance(value, list):
        yield value
    elif isinstance(value, dict):
        for inside in value.values():
            yield from find_lists(inside)
