"""From events to batches: which are fit to publish, where each goes, and what is added to it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from pydantic_core import from_json, to_json

from beatsrelay.routing import Route
from beatsrelay.settings import Settings

Routed = tuple[Route, list[bytes]]


def has_shape(event: bytes) -> bool:
    """Tell whether an event looks like a JSON object in UTF-8, without parsing it."""
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


def parse(event: bytes) -> dict[str, Any] | None:
    """Parse an event; none if it is no JSON object."""
    try:
        found = from_json(event, allow_inf_nan=False)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


class Shaper:
    """What the settings make of events. Bytes stay as they came unless there are fields to add."""

    def __init__(self, settings: Settings) -> None:
        self._exchange = settings.exchange
        self._template = settings.routing_key
        self._fields = settings.fields
        fixed = settings.routing_key.fixed
        self._route = None if fixed is None else Route(settings.exchange, fixed)
        self._parses = settings.event_check == "json" or bool(self._fields) or self._route is None

    def shape(self, events: Sequence[bytes]) -> tuple[list[Routed], list[bytes]]:
        """Sort events: runs of those that go the same way, in order, and those that are no events."""
        if self._parses:
            return self._shape_parsed(events)
        good = [event for event in events if has_shape(event)]
        bad = [] if len(good) == len(events) else [event for event in events if not has_shape(event)]
        assert self._route  # noqa: S101
        return ([(self._route, good)] if good else []), bad

    def _shape_parsed(self, events: Sequence[bytes]) -> tuple[list[Routed], list[bytes]]:
        routed: list[tuple[Route, bytes]] = []
        bad = []
        for event in events:
            # One at a time: thousands of live dicts would cost garbage collection.
            if (parsed := parse(event)) is None or (body := self._add_fields(event, parsed)) is None:
                bad.append(event)
                continue
            route = self._route or Route(self._exchange, self._template.fill(parsed))
            routed.append((route, body))
        runs = groupby(routed, key=lambda pair: pair[0])
        return [(route, [event for _, event in run]) for route, run in runs], bad

    def _add_fields(self, event: bytes, parsed: dict[str, Any]) -> bytes | None:
        if not self._fields:
            return event
        written = to_json(parsed | self._fields)
        # 1e400 is JSON, but no float: it is read as infinite, and written as what is no JSON.
        return None if b"Infinity" in written and parse(written) is None else written
