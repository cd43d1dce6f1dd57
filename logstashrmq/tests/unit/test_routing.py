"""Tests of routing keys, which the relay builds from the fields of events."""

from __future__ import annotations

import pytest
from beatsrelay.routing import NAME_BYTES_MAX, parse_template


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("logs", "logs"),
        ("%{[a][b]}", "v_1"),
        ("x.%{[a][b]}.%{[n]}.y", "x.v_1.7.y"),
        ("%{[a]}.%{[nothing]}.%{[empty]}", "unknown.unknown.unknown"),
        ("%{[long]}", "ü" * (NAME_BYTES_MAX // 2)),
    ],
)
def test_key_contains_the_fields_of_the_event(template: str, key: str) -> None:
    event = {"a": {"b": "v.1"}, "n": 7, "empty": "", "long": "ü" * 300}
    assert parse_template(template).format_key(event) == key


@pytest.mark.parametrize("template", ["%{a}", "%{[a]", "%{[]}", "x" * 256, "a.%{[a].b}"])
def test_invalid_template_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="not a routing key template"):
        parse_template(template)
