"""Problems of site.toml as error messages: the key, the value found, the values accepted."""

from __future__ import annotations

import difflib
import inspect
import json
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from labadmin.configure.fields import SECRET, Secret
from labadmin.configure.toml_lines import Path

LONGEST = 60


@dataclass(frozen=True)
class Problem:
    """One problem of site.toml.

    Attributes
    ----------
    path
        The key. An integer is the index of an element in a list.
    message
        The value found and the values accepted. It never contains a secret.
    """

    path: Path
    message: str


class ConfigureError(Exception):
    """The files cannot be created. The message has one line per problem."""


def find_line(path: Path, lines: Mapping[Path, int]) -> int | None:
    """Return the line of a key. If the file lacks the key, return the line of its table, or None."""
    return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), None)


def sort_problems(problems: list[Problem], lines: Mapping[Path, int]) -> list[Problem]:
    """Return problems in the order of their lines in the file."""
    return sorted(problems, key=lambda problem: find_line(problem.path, lines) or 0)


def format_problem(file: str, problem: Problem, lines: Mapping[Path, int]) -> str:
    """Return a problem as one line for the terminal."""
    line = find_line(problem.path, lines)
    place = f"{file}, line {line}" if line else file
    return f"{place}: {format_key(problem.path)}: {problem.message}"


def format_key(path: Path) -> str:
    """Return a key in TOML notation. Elements of a list are counted from 1."""
    written = ""
    for part in path:
        if isinstance(part, int):
            written += f"[{part + 1}]"
        else:
            written += ("." if written else "") + (part if re.fullmatch("[A-Za-z0-9_-]+", part) else json.dumps(part))
    return written


def list_problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Return the problems that a model found. A misspelt key is reported as unknown, but not also as missing."""
    errors = error.errors()
    unknown = [tuple(detail["loc"]) for detail in errors if detail["type"] == "extra_forbidden"]
    misspelt = {(*path[:-1], suggest_key(path, model)) for path in unknown}
    shown = [detail for detail in errors if detail["type"] != "missing" or tuple(detail["loc"]) not in misspelt]
    return [Problem(tuple(detail["loc"]), describe_error(detail, model)) for detail in shown]


def describe_error(error: ErrorDetails, model: type[BaseModel]) -> str:
    """Return the message of one error: the value found and the values accepted."""
    path = tuple(error["loc"])
    if error["type"] == "extra_forbidden":
        return f"found an unknown key, wanted {suggest_key(path, model)}"
    field = find_field(path, model)
    wanted = field.description if field else "another value"
    if error["type"] == "missing":
        return f"missing, wanted {wanted}"
    if field and find_table_model(field) is Secret and not isinstance(error["input"], dict):
        return f"found a value, wanted {SECRET}: do not write a secret into this file"
    message = str(error.get("ctx", {}).get("error", ""))
    return message if message.startswith("found ") else f"found {format_found(error['input'])}, wanted {wanted}"


def suggest_key(path: Path, model: type[BaseModel]) -> str:
    """Return the most similar key of the table, else another table that has this key, else all keys of the table."""
    here, name = path[:-1], str(path[-1])
    field = find_field(here, model)
    table = (find_table_model(field) if field else model) or model
    known = [key for key, _ in list_keys(table)]
    if close := difflib.get_close_matches(name, known, 1, 0.7):
        return close[0]
    for other in list_tables(model):
        if name in (key for key, _ in list_keys(find_table(other, model))):
            return f"it in the table [{format_key(other)}]" if other else "it above the first table"
    return f"one of {', '.join(known)}"


def list_keys(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """Yield the keys of a table as they are written in the file, with their fields."""
    return ((field.alias or name, field) for name, field in model.model_fields.items())


def find_table_model(field: FieldInfo) -> type[BaseModel] | None:
    """Return the pydantic model of a field that is a table or a list of tables, else None."""
    return _table(field.annotation)


def _table(kind: Any) -> type[BaseModel] | None:
    if inspect.isclass(kind) and get_origin(kind) is None:
        return kind if issubclass(kind, BaseModel) else None
    if get_origin(kind) in (list, Union, types.UnionType) or hasattr(kind, "__metadata__"):
        return next(filter(None, map(_table, get_args(kind))), None)
    return None


def find_field(path: Path, model: type[BaseModel]) -> FieldInfo | None:
    """Return the field of a key, or None. For an element of a list, return the field of the list."""
    field, table = None, model
    for part in path:
        if isinstance(part, str):
            found = dict(list_keys(table)).get(part)
            if found is None:
                break
            field, table = found, find_table_model(found) or table
    return field


def find_table(path: Path, model: type[BaseModel]) -> type[BaseModel]:
    """Return the pydantic model of a table in site.toml."""
    field = find_field(path, model)
    return (find_table_model(field) if field else None) or model


def list_tables(model: type[BaseModel], above: Path = ()) -> Iterator[Path]:
    """Yield the empty path of the top-level table, and then the path in the header of each other table."""
    yield above
    for name, field in list_keys(model):
        table = find_table_model(field)
        if table and table is not Secret:
            yield from list_tables(table, (*above, name))


def format_found(found: Any) -> str:
    """Return a value in TOML notation, without the user and password of a URL."""
    if isinstance(found, list | dict):
        return "an empty list" if found == [] else "a list" if isinstance(found, list) else "a table"
    text = json.dumps(found, ensure_ascii=False) if isinstance(found, str | int | float) else str(found)
    text = re.sub(r"//[^/@\s]*@", "//...@", text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
