"""Refusals of the broker: decide whether a refusal concerns a message, a route or all events. Remember refused routes.

RabbitMQ closes the channel when it refuses a message, without the delivery tag of the refused message:
https://www.rabbitmq.com/docs/channels#error-handling
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from beatsrelay.amqp.errors import Reply
from beatsrelay.amqp.messages import Batch
from beatsrelay.routing import Route
from beatsrelay.settings import Settings

logger = logging.getLogger(__name__)

ACCESS_REFUSED = 403
NOT_FOUND = 404
# Patterns for the texts of the broker's refusals. The broker truncates a text after 255 bytes.
# https://github.com/rabbitmq/rabbitmq-server/blob/v4.1.0/deps/rabbit/src/rabbit_access_control.erl: check_topic_access.
TOPIC_REFUSED = re.compile(r"ACCESS_REFUSED - (?:\w+ )?access to topic '")
TOPIC_END = re.compile(r"' in exchange '.*' in vhost '.*' refused for user '.*'", re.DOTALL)
EXCHANGE_REFUSED = re.compile(r"ACCESS_REFUSED - (?:(?:\w+ )?access to|cannot publish to internal) exchange '")
# The end of the reply text if the broker's authorization backend failed, for example because an LDAP server does not
# answer
BACKEND_FAILED = re.compile(TOPIC_END.pattern + r", backend \w+ returned an error: ", re.DOTALL)
# After this time, the next event of a refused route is published as a test, so that a new permission takes effect.
TEST_SECONDS = 60
# While the relay tests a route, all other messages wait for some milliseconds. So the relay starts at most one test in
# this time.
TEST_PAUSE_SECONDS = 1
# A second refusal is final only if the broker has accepted an event since the first refusal. But filebeat may send no
# further event until a refused dead letter is acknowledged. So for dead letters, an event also counts if the broker
# accepted the event up to this time before the first refusal.
DEAD_LETTER_SECONDS = 60
# After this number of refused events in a row, the broker probably refuses all. Without this limit, an attempt would
# close one channel for each event in flight.
IN_A_ROW_MAX = 100
# Maximum number of remembered routes, and of remembered messages
ENTRIES_MAX = 10_000


class Scope(Enum):
    """The scope of a refusal: one message, all messages of a route, or all events."""

    MESSAGE = auto()
    ROUTE = auto()
    ALL = auto()


@dataclass(frozen=True)
class Refusal:
    """The broker's refusal of a message or of a route.

    Attributes
    ----------
    reply
        The broker's reply.
    scope
        Whether the refusal concerns only the message, or its whole route.
    final
        Whether the relay treats the messages as undeliverable. If False, the relay publishes them again.
    test_time
        When the next event of the route is published as a test, in seconds of `time.monotonic`.
    """

    reply: Reply
    scope: Scope
    final: bool
    test_time: float


def find_scope(reply: Reply, batch: Batch, *, constant_key: bool) -> tuple[Scope, bool]:
    """Return the scope of a refusal, from the reply's code and text, and whether the reply states the scope clearly.

    Parameters
    ----------
    batch
        The refused message.
    constant_key
        Whether all events have the same routing key. A refusal of this key concerns all events.
    """
    if reply.code not in (ACCESS_REFUSED, NOT_FOUND):
        return Scope.MESSAGE, False
    if batch.is_dead_letter:
        return Scope.ROUTE, False
    if reply.code == NOT_FOUND or constant_key or EXCHANGE_REFUSED.match(reply.text):
        return Scope.ALL, True
    topic, key = TOPIC_REFUSED.match(reply.text), batch.route.key
    # The routing key can contain any text from fields of the event. So remove the key before the rest of the text is
    # compared.
    if not topic or not reply.text.startswith(key, topic.end()):
        return Scope.ROUTE, False
    end = reply.text[topic.end() + len(key) :]
    return (Scope.ALL, True) if BACKEND_FAILED.match(end) else (Scope.ROUTE, bool(TOPIC_END.fullmatch(end)))


class Refusals:
    """The rules for refusals: this class decides whether a refusal is final, and remembers refused routes.

    - The refusal of a routing key is final. The relay does not publish further events with this key.
    - The refusal of the dead-letter route is never final. The relay keeps the dead letters, and publishes them again.
    - Other refusals become final if the broker refuses the message a second time, and has accepted an event in between.
      So no event becomes a dead letter because of a fault of the broker that concerns all events.

    Parameters
    ----------
    clock
        Returns the current time in seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._constant_key = settings.routing_key.constant_key is not None
        self._routes: dict[Route, Refusal] = {}
        # The time of the first refusal of each route, or of each message by its number. Final refusals are removed.
        self._first_refused: dict[Route | int, float] = {}
        self._next_test = 0.0
        self._in_a_row = 0  # unclear refusals in this attempt, since the broker last accepted an event
        self._last_refused = 0.0

    @property
    def probably_all(self) -> bool:
        """Whether the broker refused many events, and accepted none in between."""
        return self._in_a_row > IN_A_ROW_MAX

    def judge(self, batch: Batch, reply: Reply, last_accepted: float) -> Refusal | None:
        """Return the refusal of a message, and remember a refused route. Return None if the broker refuses all events.

        Parameters
        ----------
        batch
            The refused message, which was published alone.
        last_accepted
            When the broker last accepted an event, in seconds of `time.monotonic`.
        """
        now = self._clock()
        scope, clear = find_scope(reply, batch, constant_key=self._constant_key)
        if scope is Scope.ALL:
            return None
        key = batch.route if scope is Scope.ROUTE else batch.numbers[0]
        if scope is Scope.ROUTE and batch.is_dead_letter:
            final = False
        elif clear:
            final = True
        elif key in self._first_refused:
            recent = DEAD_LETTER_SECONDS if batch.is_dead_letter else 0
            final = last_accepted > self._first_refused[key] - recent
        else:
            final = False
        refusal = Refusal(reply, scope, final, now + TEST_SECONDS)
        first_refused = self._first_refused.pop(key, now)
        if not final:
            self._first_refused[key] = first_refused
        if not clear and not batch.is_dead_letter:
            self._in_a_row = 1 if last_accepted > self._last_refused else self._in_a_row + 1
            self._last_refused = now
        if scope is Scope.ROUTE:
            self._routes.pop(batch.route, None)
            self._routes[batch.route] = refusal
        remove_oldest(self._first_refused)
        remove_oldest(self._routes)
        return refusal

    def forget_accepted(self, route: Route) -> None:
        """Forget that a message with this route was refused before, because the broker has accepted another one."""
        if self._first_refused:
            self._first_refused.pop(route, None)

    def find(self, route: Route) -> Refusal | None:
        """Return the refusal of a route, or None if the route is not refused."""
        return self._routes.get(route)

    def start_test(self, refusal: Refusal, route: Route) -> bool:
        """Forget the refusal of a route if a test of the route is due.

        Return whether the caller should start the test.
        """
        now = self._clock()
        if not refusal.final or now < max(refusal.test_time, self._next_test):
            return False
        self._next_test = now + TEST_PAUSE_SECONDS
        del self._routes[route]
        return True

    def start_attempt(self) -> None:
        """Forget the routes with a refusal that is not final, so that the relay publishes their kept messages again."""
        self._in_a_row = 0
        self._routes = {route: refusal for route, refusal in self._routes.items() if refusal.final}


def remove_oldest(entries: dict[Any, Any]) -> None:
    """Remove the oldest entry if there are more than `ENTRIES_MAX` entries."""
    if len(entries) > ENTRIES_MAX:
        del entries[next(iter(entries))]


def log_refusal(batch: Batch, refusal: Refusal) -> None:
    """Log a refusal, and how the relay handles the message or the route."""
    fields = describe_message(batch, refusal.reply)
    what = "dead letter" if batch.is_dead_letter else "event"
    if refusal.final and refusal.scope is Scope.ROUTE:
        fields["test_in_seconds"] = TEST_SECONDS
        logger.warning("the broker refuses all events with this routing key", extra=fields)
    elif refusal.final:
        logger.warning("the broker refuses the %s, and the relay does not publish it again", what, extra=fields)
    else:
        logger.warning("the broker refused the %s, and the relay will publish it again", what, extra=fields)


def describe_message(batch: Batch, reply: Reply) -> dict[str, str | float]:
    """Return the log fields of a refused message."""
    route = batch.route
    return {"exchange": route.exchange, "routing_key": route.key, "event.reason": f"{reply.text} ({reply.code})"}
