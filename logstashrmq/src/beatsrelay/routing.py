"""Where an event goes: a route, and the template that makes its key from the event's fields."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

FIELD = re.compile(r"%\{((?:\[[^\[\]]+\])+)\}")
NAME = re.compile(r"\[([^\[\]]+)\]")
LONGEST = 255
# What stands where an event lacks the field.
MISSING = "unknown"


@dataclass(frozen=True)
class Route:
    """An exchange and a routing key."""

    exchange: str
    key: str


@dataclass(frozen=True)
class Template:
    """A routing key, as text and field paths in turn: the odd parts are paths."""

    parts: tuple[str | tuple[str, ...], ...]

    @property
    def pattern(self) -> str:
        """What a queue is bound with to get all keys: each field is one word."""
        return "".join(part if isinstance(part, str) else "*" for part in self.parts)

    @property
    def fixed(self) -> str | None:
        """The key, if it is the same for all events."""
        return str(self.parts[0]) if len(self.parts) == 1 else None

    def fill(self, event: dict[str, Any]) -> str:
        """Make the key of an event, cut where AMQP ends."""
        key = "".join(part if isinstance(part, str) else look_up(event, part) for part in self.parts)
        return key.encode()[:LONGEST].decode(errors="ignore")


def parse_template(text: str) -> Template:
    """Read a key in which `%{[kubernetes][namespace]}` stands for a field, as in Logstash.

    Raises
    ------
    ValueError
        It is too long, or holds something that is no field.
    """
    pieces = FIELD.split(text)
    if any("%{" in piece for piece in pieces[::2]) or len("".join(pieces[::2]).encode()) > LONGEST:
        raise ValueError("not such a key")
    parts: list[str | tuple[str, ...]] = list(pieces)
    parts[1::2] = [tuple(NAME.findall(path)) for path in pieces[1::2]]
    return Template(tuple(parts))


def look_up(event: dict[str, Any], path: tuple[str, ...]) -> str:
    """Give a field as one word of a routing key: a dot would make two of it."""
    found: Any = event
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, str | int) or found == "":
        return MISSING
    return str(found).replace(".", "_")
