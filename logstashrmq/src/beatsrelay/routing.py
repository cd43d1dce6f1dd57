"""Routes of messages, and the template that builds a routing key from the fields of an event."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

FIELD = re.compile(r"%\{((?:\[[^\[\]]+\])+)\}")
FIELD_NAME = re.compile(r"\[([^\[\]]+)\]")
# Maximum length of a name in bytes, because AMQP 0-9-1 encodes names as short strings:
# https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, 4.2.5.3
NAME_BYTES_MAX = 255
# The text that replaces a field that is missing in the event.
MISSING_FIELD = "unknown"


@dataclass(frozen=True)
class Route:
    """An exchange and a routing key. With the default exchange, "", the key is the name of a queue."""

    exchange: str
    key: str


def parse_route(text: str) -> Route:
    """Parse `EXCHANGE/KEY` or `/QUEUE`.

    Raises
    ------
    ValueError
        Raised if the slash or the key is missing, or a name is longer than 255 bytes.
    """
    exchange, slash, key = text.partition("/")
    if not slash or not key or max(len(exchange.encode()), len(key.encode())) > NAME_BYTES_MAX:
        raise ValueError("not a route")
    return Route(exchange, key)


@dataclass(frozen=True)
class RoutingKeyTemplate:
    """A template for routing keys, with placeholders for fields of the event.

    Attributes
    ----------
    parts
        Alternating texts and paths of fields. The parts at odd indices are paths.
    """

    parts: tuple[str | tuple[str, ...], ...]

    @property
    def binding_key(self) -> str:
        """The binding key that matches all routing keys of this template. It has `*` in place of each field."""
        return "".join(part if isinstance(part, str) else "*" for part in self.parts)

    @property
    def constant_key(self) -> str | None:
        """The routing key if it is the same for all events. None if it depends on the event."""
        return str(self.parts[0]) if len(self.parts) == 1 else None

    def format_key(self, event: dict[str, Any]) -> str:
        """Return the routing key of an event, truncated to 255 bytes."""
        key = "".join(part if isinstance(part, str) else format_field(event, part) for part in self.parts)
        return key.encode()[:NAME_BYTES_MAX].decode(errors="ignore")


def parse_template(text: str) -> RoutingKeyTemplate:
    """Parse the template of a routing key. As in Logstash, `%{[kubernetes][namespace]}` is a placeholder for a field.

    Raises
    ------
    ValueError
        Raised if the text without the placeholders is longer than 255 bytes, or if a `%{` does not start a placeholder.
    """
    pieces = FIELD.split(text)
    if any("%{" in piece for piece in pieces[::2]) or len("".join(pieces[::2]).encode()) > NAME_BYTES_MAX:
        raise ValueError("not a routing key template")
    parts: list[str | tuple[str, ...]] = list(pieces)
    parts[1::2] = [tuple(FIELD_NAME.findall(path)) for path in pieces[1::2]]
    return RoutingKeyTemplate(tuple(parts))


def format_field(event: dict[str, Any], path: tuple[str, ...]) -> str:
    """Return a field of an event as one word of a routing key.

    Dots separate words, so "_" replaces each dot of the field.
    """
    value: Any = event
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, str | int) or value == "":
        return MISSING_FIELD
    return str(value).replace(".", "_")
