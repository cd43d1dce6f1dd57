"""Tests that site.example.toml shows every setting with its default, and is valid with all settings uncommented."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labadmin.configure.fields import Secret
from labadmin.configure.problems import find_table_model, list_keys
from labadmin.configure.site_model import Site
from labhub.models.profiles import Menu

from admin.tests.configure import components, example
from admin.tests.configure.sample import SampleSite
from tools.components import ROOT


def known(model: Any = Site, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the key paths of all settings in the model of site.toml. A secret counts as one setting."""
    for name, field in list_keys(model):
        table = find_table_model(field)
        if table and table is not Secret:
            yield from known(table, (*above, name))
        else:
            yield (*above, name)


def shown(found: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the key paths of all settings in a TOML file."""
    for name, value in found.items():
        for element in value if isinstance(value, list) else [value]:
            if isinstance(element, dict) and not set(element) <= {"file", "environment", "site"}:
                yield from shown(element, (*above, name))
            else:
                yield (*above, name)


def test_example_has_exactly_the_known_settings() -> None:
    defaults, others = (tomllib.loads(text) for text in (example.with_defaults(), example.with_alternatives()))
    assert set(shown(defaults)) | set(shown(others)) == set(known())


@pytest.mark.parametrize(
    "text",
    [example.TEXT, example.with_defaults(), example.with_alternatives()],
    ids=["as it is", "uncommented", "alternatives"],
)
def test_example_is_a_valid_configuration(text: str, tmp_path: Path) -> None:
    site = SampleSite.make(tmp_path, text)
    site.run()
    components.load_all(site)


def test_example_shows_the_defaults_of_the_components(tmp_path: Path) -> None:
    # Settings without a default have an example value in the file.
    examples = {
        "hub": {"admins", "contact", "database_url", "passwd", "group"},
        "labs": {"database_url", "passwd", "group"},
        "relay": {"dead_letter", "amqp_ca", "amqp_cert", "amqp_key", "fields"},
        "fileserver": set(),
    }
    without, uncommented = (SampleSite.make(tmp_path / name) for name in ("a", "b"))
    without.write_settings(example.TEXT)
    uncommented.write_settings(example.with_defaults())
    for site in (without, uncommented):
        site.run()
    nginx = dict(re.findall(r"^(NGINX_\w+)=\$\{\1:-(.*)\}$", (ROOT / "nginx/start").read_text(), re.MULTILINE))
    for name, text in uncommented.data("nginx-configmap.yaml").items():
        assert name in {"NGINX_SERVER_NAME", "NGINX_OTHER_HUBS", "NGINX_RESOLVER"} or text == nginx[name], name
    defaults, loaded = components.load_all(without), components.load_all(uncommented)
    random = {"crypt_keys", "proxy_token", "fileserver_token", "token_file", "client_secret", "amqp_password"}
    random |= {"beats_cert", "beats_key", "beats_ca"}
    for name, settings in defaults.items():
        for key, value in settings.items():
            if key not in examples[name] | random | {"menu"}:
                assert loaded[name][key] == value, f"{name}: {key}"
    assert offers(loaded["labs"]["menu"]) == offers(defaults["labs"]["menu"])


def offers(menu: Menu) -> list[object]:
    """Return the images and sizes of a menu, with the requests that a size has or that follow from its limits."""
    sizes = [(size.key, size.title, size.description, size.limits, size.requests) for size in menu.sizes]
    return [*menu.images, *sizes]


def test_example_contains_no_secret() -> None:
    for table in (tomllib.loads(example.with_defaults()), tomllib.loads(example.with_alternatives())):
        for key in ("client_secret", "key", "password", "url"):
            for value in find(table, key):
                assert isinstance(value, dict) or "github.com" in value or "fileserver" in value


def find(table: dict[str, Any], key: str) -> Iterator[Any]:
    """Yield all values of a key at any depth, without the tables of the menu."""
    for name, value in table.items():
        if name == key:
            yield value
        elif isinstance(value, dict):
            yield from find(value, key)
