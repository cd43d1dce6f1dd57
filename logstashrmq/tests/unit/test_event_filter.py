"""Tests of the event filter, which validates and routes events, and adds fields to them."""

from __future__ import annotations

import pytest
from beatsrelay.event_filter import EventFilter, FilteredEvents, has_object_shape
from beatsrelay.routing import Route
from beatsrelay.settings import load_settings

from logstashrmq.tests.harness import PLAIN

ROUTE = Route("logs", "logs")


def create_filter(**settings: str) -> EventFilter:
    """Return the event filter of a relay with these settings."""
    return EventFilter(load_settings(PLAIN | settings))


@pytest.mark.parametrize("event", [b"{}", b' {"a":1}\r\n', '{"ü":1}'.encode(), b'{"a":}'])
def test_text_in_braces_has_the_shape_of_an_object(event: bytes) -> None:
    assert has_object_shape(event)


@pytest.mark.parametrize("event", [b"", b" ", b"{", b"}", b"[1]", b'"a"', b"null", b'{"\xff":1}', b"x{}"])
def test_other_text_does_not_have_the_shape_of_an_object(event: bytes) -> None:
    assert not has_object_shape(event)


@pytest.mark.parametrize("event", [b'{"a":}', b'{"a":NaN}', b"[]", b'{"a":1}{', b"{" + b'"a":{' * 5000 + b"}" * 5001])
def test_json_check_accepts_json_objects_only(event: bytes) -> None:
    filtered = create_filter(RELAY_EVENT_CHECK="json").filter([event, b"{}"])
    assert filtered == FilteredEvents([(ROUTE, [b"{}"])], [event])


@pytest.mark.parametrize("event", [b'{"a":1e400}', b'{"a":[{"b":-1E999}],"c":"Infinity"}'])
def test_number_without_json_encoding_makes_an_event_malformed(event: bytes) -> None:
    filtered = create_filter(RELAY_FIELDS='{"site":"summit"}').filter([event, b'{"message":"Infinity"}'])
    assert filtered == FilteredEvents([(ROUTE, [b'{"message":"Infinity","site":"summit"}'])], [event])
    unchanged = create_filter(RELAY_EVENT_CHECK="json").filter([event])
    assert unchanged == FilteredEvents([(ROUTE, [event])], [])


def test_events_keep_their_order_and_their_bytes() -> None:
    events = [b'{"k": "x","n":1.50}', b'{"k":"x"}', b"bad", b'{"k":"y"}', b'{"k":"x"}']
    filtered = create_filter(AMQP_ROUTING_KEY="a.%{[k]}").filter(events)
    assert [(route.key, bodies) for route, bodies in filtered.routed] == [
        ("a.x", events[:2]),
        ("a.y", [events[3]]),
        ("a.x", [events[4]]),
    ]
    assert filtered.malformed == [b"bad"]
