"""Tests that docs/admin/settings.md lists every setting, with the names and defaults in the code."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from beatsrelay.routing import RoutingKeyTemplate
from beatsrelay.settings import Settings as RelaySettings
from beatsrelay.settings.environment import FILE
from beatsrelay.settings.model import list_setting_names
from labadmin.configure.problems import find_field, format_key
from labadmin.configure.site_model import Site
from labhub.settings.environment import SECOND_NAMES, SECRETS
from labhub.settings.labs import LabSettings
from labhub.settings.login import LoginSettings
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from admin.tests.configure import example
from admin.tests.configure.test_example import known
from tools.components import ROOT

SECTIONS = [
    "Site",
    "GitHub login",
    "Labs",
    "Hub",
    "Database",
    "Storage",
    "nginx",
    "Logs",
    "Relay",
    "Lab image",
]
COLUMNS = ["`site.toml` key", "environment variable", "default", "unit", "description"]
DASH = "\N{EN DASH}"
# Variables of keys for which the model declares no variable, because `configure` writes a file or derives the value.
DERIVED = {
    "hostname": "NGINX_SERVER_NAME",
    "github.client_secret": "GITHUB_CLIENT_SECRET",
    "github.authority": "SSL_CERT_FILE",
    "labs.passwd": "LAB_PASSWD",
    "labs.group": "LAB_GROUP",
    "labs.menu": "LAB_MENU",
    "database.url": "HUB_DATABASE_URL",
    "logs.amqp.password": "AMQP_PASSWORD",
    "logs.amqp.authority": "AMQP_TLS_CA_FILE",
    "logs.amqp.certificate": "AMQP_TLS_CERT_FILE",
    "logs.amqp.key": "AMQP_TLS_KEY_FILE",
}
# Keys with an example value in site.example.toml, because they have no constant default.
EXAMPLES = {
    "contact",
    "github.admins",
    "github.authority",
    "labs.passwd",
    "labs.group",
    "database.url",
    "database.authority",
    "nginx.other_hubs",
    "nginx.resolver",
    "logs.amqp.authority",
    "logs.amqp.certificate",
    "logs.amqp.key",
    "logs.amqp.dead_letter",
    "logs.relay.fields",
}
# Variables that the settings modules do not read: OpenSSL and the client of the Kubernetes API read them.
OTHERS = {"SSL_CERT_FILE", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"}


@dataclass(frozen=True)
class Row:
    """A row of a table of the page. `variables` has the main name first."""

    section: str
    key: str
    variables: tuple[str, ...]
    default: str

    @property
    def constant(self) -> str | None:
        """The default in the row if the default is a constant value, else None."""
        found = re.fullmatch("`([^`]+)`", self.default)
        return found[1] if found else None


def read_rows() -> list[Row]:
    """Return the rows of all tables, and check the columns of each."""
    rows, section = [], ""
    for line in (ROOT / "docs/admin/settings.md").read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells or set(line) <= set("|-"):
            continue
        assert len(cells) == len(COLUMNS), line
        assert all(cells), line
        if cells != COLUMNS:
            rows.append(Row(section, cells[0].strip("`"), tuple(re.findall(r"`(\w+)`", cells[1])), cells[2]))
    return rows


ROWS = read_rows()


def find_variable(path: tuple[str, ...]) -> str:
    """Return the environment variable of a key; empty if it has none."""
    field = find_field(path, Site)
    assert field
    extra = field.json_schema_extra
    declared = str(extra["variable"]) if isinstance(extra, dict) else ""
    return declared or DERIVED.get(format_key(path), "")


def read_names(file: str, pattern: str) -> set[str]:
    """Return the names of variables in the source of a component."""
    return set(re.findall(pattern, (ROOT / file).read_text(), re.MULTILINE))


def read_variables() -> dict[str, set[str]]:
    """Return the variables that the code reads, by component."""
    hub = {str(field.alias) for model in (LoginSettings, LabSettings) for field in model.model_fields.values()}
    lab = read_names("jupyterlab/src/lsstlab/settings.py", r'"(LAB_[A-Z_]+)"')
    lab |= read_names("jupyterlab/src/lsstlab/clean_settings.py", r'get\("(LAB_[A-Z_]+)"')
    return {
        "hub": hub | {f"{name}_FILE" for name in SECRETS} | set(SECOND_NAMES.values()),
        "relay": {*list_setting_names(), FILE},
        "fileserver": read_names("fileserver/src/labfiles/settings.py", r'\(?"(LABFILES_[A-Z_]+)"'),
        "nginx": read_names("nginx/start", r"^(NGINX_\w+)=\$\{\1:-"),
        "filebeat": read_names("filebeat/kubernetes/configmap.yaml", r"\$\{([A-Z_]+)[:}]") - {"NAME"},
        "lab": lab | read_names("jupyterlab/src/lsstlab/lab_environment.py", r'get\("(LAB_[A-Z_]+)"\)'),
    }


def format_default(value: Any) -> str | None:
    """Return a default as the page shows it, or None if the setting has no constant default."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, RoutingKeyTemplate):
        value = value.constant_key
    if value in (None, PydanticUndefined, "", (), {}):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def list_defaults(model: type[BaseModel]) -> Iterator[tuple[str, str | None]]:
    """Yield the default of each variable of a settings model."""
    for field in model.model_fields.values():
        yield str(field.alias), format_default(field.default)


def flatten(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the keys of a site.toml with their values, without the tables of the menu."""
    for name, value in table.items():
        path = (*above, name)
        if isinstance(value, dict) and not set(value) <= {"file", "environment", "site"}:
            yield from flatten(value, path)
        elif not (isinstance(value, list) and isinstance(value[0], dict)):
            yield format_key(path), value


def test_the_sections_are_complete_and_in_order() -> None:
    assert list(dict.fromkeys(row.section for row in ROWS)) == SECTIONS


def test_each_key_has_one_row_with_its_variable() -> None:
    found = [(row.key, row.variables[0] if row.variables else "") for row in ROWS if row.key != DASH]
    expected = {format_key(path): find_variable(path) for path in known()}
    assert sorted(found) == sorted(expected.items())
    assert set(DERIVED) <= {key for key, _ in found}


def test_each_variable_has_one_row() -> None:
    listed = [variable for row in ROWS for variable in row.variables]
    expected = set[str]().union(*read_variables().values(), OTHERS)
    assert sorted(listed) == sorted(expected)


@pytest.mark.parametrize("component", read_variables())
def test_the_variables_of_each_component_are_found(component: str) -> None:
    assert len(read_variables()[component]) >= {"hub": 30, "relay": 40}.get(component, 2)


@pytest.mark.parametrize("model", [LoginSettings, LabSettings, RelaySettings])
def test_the_defaults_are_those_of_the_code(model: type[BaseModel]) -> None:
    shown = {variable: row.constant for row in ROWS for variable in row.variables}
    expected = dict(list_defaults(model))
    assert {variable: shown[variable] for variable in expected} == expected


def test_the_defaults_of_nginx_are_those_of_its_start_script() -> None:
    script = (ROOT / "nginx/start").read_text()
    defaults = dict(re.findall(r"^(NGINX_\w+)=\$\{\1:-(.+)\}$", script, re.MULTILINE))
    shown = {row.variables[0]: row.constant for row in ROWS if row.variables and row.variables[0] in defaults}
    assert shown == defaults | {"NGINX_HTTP3": "false", "NGINX_STATIC": "/opt/nginx/static"}


def test_the_defaults_of_the_fileserver_are_those_of_its_code() -> None:
    source = (ROOT / "fileserver/src/labfiles/settings.py").read_text()
    defaults = dict(re.findall(r'"(LABFILES_\w+)"\)? ?(?:or|,) "([^"]+)"', source))
    assert len(defaults) == 8
    shown = {row.variables[0]: row.constant for row in ROWS if row.variables}
    assert {variable: shown[variable] for variable in defaults} == defaults


def test_the_example_shows_the_same_defaults() -> None:
    set_keys = dict(flatten(tomllib.loads(example.TEXT)))
    commented = {key: value for key, value in flatten(tomllib.loads(example.with_defaults())) if key not in set_keys}
    shown = {row.key: row.constant for row in ROWS}
    assert {key for key in commented if shown[key] is None or isinstance(commented[key], dict)} == EXAMPLES
    for key in commented.keys() - EXAMPLES:
        assert shown[key] == format_default(commented[key]), key
    assert len(commented) > 50
