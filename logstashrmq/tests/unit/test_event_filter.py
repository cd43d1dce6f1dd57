"""Which events are fit to publish, and where they go."""

from __future__ import annotations

import pytest
from beatsrelay.routing import LONGEST, Route, parse_template
from beatsrelay.settings import load
from beatsrelay.event_filter import Shaper, has_shape

from logstashrmq.tests.harness import PLAIN


@pytest.mark.parametrize("event", [b"{}", b' {"a":1}\r\n', '{"ü":1}'.encode(), b'{"a":}'])
def test_what_looks_like_an_object_has_the_shape_of_an_event(event: bytes) -> None:
    assert has_shape(event)


@pytest.mark.parametrize("event", [b"", b" ", b"{", b"}", b"[1]", b'"a"', b"null", b'{"\xff":1}', b"x{}"])
def test_what_does_not_look_like_one_has_not(event: bytes) -> None:
    assert not has_shape(event)


@pytest.mark.parametrize("event", [b'{"a":}', b'{"a":NaN}', b"[]", b'{"a":1}{', b"{" + b'"a":{' * 5000 + b"}" * 5001])
def test_with_the_json_check_only_json_objects_are_events(event: bytes) -> None:
    shaper = Shaper(load(PLAIN | {"RELAY_EVENT_CHECK": "json"}))
    assert shaper.shape([event, b"{}"]) == ([(Route("logs", "logs"), [b"{}"])], [event])


@pytest.mark.parametrize("event", [b'{"a":1e400}', b'{"a":[{"b":-1E999}],"c":"Infinity"}'])
def test_a_number_that_no_float_holds_is_not_written_anew_as_what_is_no_json(event: bytes) -> None:
    shaper = Shaper(load(PLAIN | {"RELAY_FIELDS": '{"site":"summit"}'}))
    good = b'{"message":"Infinity"}'
    assert shaper.shape([event, good]) == (
        [(Route("logs", "logs"), [b'{"message":"Infinity","site":"summit"}'])],
        [event],
    )
    as_it_came = Shaper(load(PLAIN | {"RELAY_EVENT_CHECK": "json"}))
    assert as_it_came.shape([event]) == ([(Route("logs", "logs"), [event])], [])


def test_events_keep_their_order_and_their_bytes() -> None:
    shaper = Shaper(load(PLAIN | {"AMQP_ROUTING_KEY": "a.%{[k]}"}))
    events = [b'{"k": "x","n":1.50}', b'{"k":"x"}', b"bad", b'{"k":"y"}', b'{"k":"x"}']
    routed, bad = shaper.shape(events)
    assert [(route.key, found) for route, found in routed] == [
        ("a.x", events[:2]),
        ("a.y", [events[3]]),
        ("a.x", [events[4]]),
    ]
    assert bad == [b"bad"]


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("logs", "logs"),
        ("%{[a][b]}", "v_1"),
        ("x.%{[a][b]}.%{[n]}.y", "x.v_1.7.y"),
        ("%{[a]}.%{[nothing]}.%{[empty]}", "unknown.unknown.unknown"),
        ("%{[long]}", "ü" * (LONGEST // 2)),
    ],
)
def test_a_key_is_made_of_an_events_fields(template: str, key: str) -> None:
    event = {"a": {"b": "v.1"}, "n": 7, "empty": "", "long": "ü" * 300}
    assert parse_template(template).fill(event) == key


@pytest.mark.parametrize("template", ["%{a}", "%{[a]", "%{[]}", "x" * 256, "a.%{[a].b}"])
def test_a_template_that_would_not_do_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="not such a key"):
        parse_template(template)
