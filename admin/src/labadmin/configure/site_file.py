"""The reader of site.toml. It reports all problems at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from labadmin.configure.problems import ConfigureError, Problem, format_problem, list_problems, sort_problems
from labadmin.configure.site_model import Site
from labadmin.configure.sources import SourceReader, Sources
from labadmin.configure.toml_lines import find_lines


def read_site(file: Path, environ: Mapping[str, str], now: datetime) -> tuple[Site, Sources]:
    """Read a site's settings, and the files and variables that they name.

    Raises
    ------
    ConfigureError
        Raised if site.toml has problems. The message has one line per problem.
    """
    try:
        text = file.read_text()
    except FileNotFoundError as error:
        raise ConfigureError(f"{file}: missing: start with `cp site.example.toml {file}`, and edit the copy") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigureError(f"{file}: cannot be read: {getattr(error, 'strerror', 'not text')}") from error
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigureError(f"{file}: not valid TOML: {error}") from error
    try:
        site = Site.model_validate(found)
    except ValidationError as error:
        raise create_error(file, text, list_problems(error, Site)) from None
    sources = SourceReader(file.parent, environ, now).read(site)
    if sources.problems:
        raise create_error(file, text, sources.problems)
    return site, sources


def create_error(file: Path, text: str, problems: list[Problem]) -> ConfigureError:
    """Return an error with all problems, sorted by line."""
    lines = find_lines(text)
    return ConfigureError(
        "\n".join(format_problem(str(file), problem, lines) for problem in sort_problems(problems, lines))
    )
