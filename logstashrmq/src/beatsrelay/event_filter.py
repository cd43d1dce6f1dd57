"""The event filter: it validates events, selects their routes, and adds configured fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pydantic_core import from_json, to_json

from beatsrelay.routing import Route
from beatsrelay.settings import Settings


@dataclass(frozen=True)
class FilteredEvents:
    """The result of the event filter for some events.

    Attributes
    ----------
    routed
        Pairs of a route and the consecutive events for this route, in the order of arrival.
    malformed
        Events that are not JSON objects.
    """

    routed: list[tuple[Route, list[bytes]]]
    malformed: list[bytes]


def has_object_shape(event: bytes) -> bool:
    """Check without parsing whether an event looks like a JSON object: UTF-8 text in braces."""
    if event[:1] != b"{" or event[-1:] != b"}":
        event = event.strip(b" \t\r\n")
        if event[:1] != b"{" or event[-1:] != b"}":
            return False
    if event.isascii():
        return True
    try:
        event.decode()
    except UnicodeDecodeError:
        return False
    return True


def parse_object(event: bytes) -> dict[str, Any] | None:
    """Return the fields of an event, or None if the event is not a JSON object."""
    try:
        value = from_json(event, allow_inf_nan=False)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


class EventFilter:
    """A filter that separates malformed events, routes the others, and adds the configured fields.

    If the settings name no fields to add, the bytes of an event stay unchanged.
    """

    def __init__(self, settings: Settings) -> None:
        self._exchange = settings.exchange
        self._template = settings.routing_key
        self._added_fields = settings.fields
        key = settings.routing_key.constant_key
        self._constant_route = None if key is None else Route(settings.exchange, key)
        self._must_parse = settings.event_check == "json" or bool(self._added_fields) or self._constant_route is None

    def filter(self, events: Sequence[bytes]) -> FilteredEvents:
        """Separate the events: return the valid ones with their routes, and the malformed ones."""
        if self._constant_route is None or self._must_parse:
            return self._filter_parsed(events)
        valid = [event for event in events if has_object_shape(event)]
        malformed = [] if len(valid) == len(events) else [event for event in events if not has_object_shape(event)]
        return FilteredEvents([(self._constant_route, valid)] if valid else [], malformed)

    def _filter_parsed(self, events: Sequence[bytes]) -> FilteredEvents:
        routed: list[tuple[Route, bytes]] = []
        malformed = []
        for event in events:
            # Only one parsed event exists at a time, because thousands of live dicts would slow down garbage
            # collection.
            if (fields := parse_object(event)) is None or (body := self._add_fields(event, fields)) is None:
                malformed.append(event)
                continue
            route = self._constant_route or Route(self._exchange, self._template.format_key(fields))
            routed.append((route, body))
        runs = groupby(routed, key=lambda pair: pair[0])
        return FilteredEvents([(route, [body for _, body in run]) for route, run in runs], malformed)

    def _add_fields(self, event: bytes, fields: dict[str, Any]) -> bytes | None:
        if not self._added_fields:
            return event
        body = to_json(fields | self._added_fields)
        # A number such as 1e400 is valid JSON, but is parsed as infinity, which JSON cannot encode.
        return None if b"Infinity" in body and parse_object(body) is None else body
