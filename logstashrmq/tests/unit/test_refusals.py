"""Tests of refusals: the scope (a message, a route or all events), and when a refusal is final."""

from __future__ import annotations

import pytest
from beatsrelay.amqp.errors import Reply
from beatsrelay.amqp.messages import Batch, PendingConfirmation
from beatsrelay.amqp.refusals import (
    DEAD_LETTER_SECONDS,
    IN_A_ROW_MAX,
    TEST_PAUSE_SECONDS,
    TEST_SECONDS,
    Refusal,
    Refusals,
    Scope,
)
from beatsrelay.amqp.size_limit import SizeLimit
from beatsrelay.routing import Route
from beatsrelay.settings import load_settings

from logstashrmq.tests.harness import PLAIN

BY_FIELD = "logs.%{[namespace]}"
ROUTE = Route("logs", "logs.a")
EVENT = Batch(PendingConfirmation(1, lambda: None), ROUTE, [b"{}"], [1])
DEAD_LETTER = Batch(
    PendingConfirmation(1, lambda: None), Route("", "dead"), [b"{}"], [2], {"x-relay-reason": "malformed"}
)
TOPIC = "access to topic 'logs.a' in exchange 'logs' in vhost '/' refused for user 'relay'"
TOPIC_3 = Reply(403, f"ACCESS_REFUSED - {TOPIC}")
TOPIC_4 = Reply(403, f"ACCESS_REFUSED - write {TOPIC}")
TOPIC_BACKEND_FAILED = Reply(
    403, f"ACCESS_REFUSED - {TOPIC}, backend rabbit_auth_backend_http returned an error: timeout"
)
TOPIC_CUT = Reply(403, f"ACCESS_REFUSED - access to topic 'logs.{'a' * 223}...")
EXCHANGE_3 = Reply(403, "ACCESS_REFUSED - access to exchange 'logs' in vhost '/' refused for user 'relay'")
EXCHANGE_4 = Reply(403, "ACCESS_REFUSED - write access to exchange 'logs' in vhost '/' refused for user 'relay'")
INTERNAL = Reply(403, "ACCESS_REFUSED - cannot publish to internal exchange 'logs' in vhost '/'")
MISSING = Reply(404, "NOT_FOUND - no exchange 'logs' in vhost '/'")
CONTENT = Reply(406, "PRECONDITION_FAILED - invalid expiration 'never': no_integer")


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def create_refusals(clock: Clock, key: str = BY_FIELD) -> Refusals:
    """Return the `Refusals` object of a relay with this routing key."""
    return Refusals(load_settings(PLAIN | {"AMQP_ROUTING_KEY": key}), clock)


def judge_twice(clock: Clock, batch: Batch, reply: Reply, *, accepted_between: bool) -> list[Refusal | None]:
    """Judge the refusal of a message twice.

    With `accepted_between`, the broker accepts an event between the two refusals.
    """
    refusals = create_refusals(clock)
    first = refusals.judge(batch, reply, last_accepted=0)
    clock.now += 2
    return [first, refusals.judge(batch, reply, last_accepted=clock.now - 1 if accepted_between else 0)]


@pytest.mark.parametrize("reply", [TOPIC_3, TOPIC_4])
def test_refused_routing_key_is_final_at_once(clock: Clock, reply: Reply) -> None:
    refusal = create_refusals(clock).judge(EVENT, reply, 0)
    assert refusal == Refusal(reply, Scope.ROUTE, True, clock.now + TEST_SECONDS)


@pytest.mark.parametrize("reply", [EXCHANGE_3, EXCHANGE_4, INTERNAL, MISSING, TOPIC_BACKEND_FAILED])
def test_refusal_of_all_events_blames_no_message(clock: Clock, reply: Reply) -> None:
    refusals = create_refusals(clock)
    assert refusals.judge(EVENT, reply, clock.now) is None
    assert refusals.find(ROUTE) is None


def test_constant_routing_key_concerns_all_events(clock: Clock) -> None:
    assert create_refusals(clock, "logs").judge(EVENT, TOPIC_3, clock.now) is None


@pytest.mark.parametrize(
    "key",
    [
        "access to exchange 'logs'",
        "' in exchange 'logs' in vhost '/' refused for user 'relay', backend a returned an error: b",
        "PRECONDITION_FAILED - message size 2 larger than max size 1",
    ],
)
def test_text_in_a_routing_key_does_not_mislead_the_relay(clock: Clock, key: str) -> None:
    event = Batch(EVENT.pending, Route("logs", key), [b"{}"], [1])
    reply = Reply(403, TOPIC_3.text.replace("logs.a", key))
    refusal = create_refusals(clock).judge(event, reply, 0)
    assert refusal
    assert (refusal.scope, refusal.final) == (Scope.ROUTE, True)
    assert not SizeLimit().learn(reply, [event])
    cut = Reply(403, f"{reply.text[:120]}...")
    refusal = create_refusals(clock).judge(event, cut, 0)
    assert refusal
    assert (refusal.scope, refusal.final) == (Scope.ROUTE, False)


@pytest.mark.parametrize("text", ["larger than max size", "is larger than configured max size"])
def test_size_limit_is_learned_from_the_reply(text: str) -> None:
    limit = SizeLimit()
    batch = Batch(EVENT.pending, ROUTE, [b"x" * size for size in (10, 11, 9)], [1, 2, 3])
    reply = Reply(406, f"PRECONDITION_FAILED - message size 11 {text} 10")
    assert limit.learn(reply, [batch])
    deliverable, large = limit.split(batch)
    assert deliverable
    assert (deliverable.numbers, large) == ([1, 3], [b"x" * 11])
    assert not limit.learn(reply, [deliverable]), "no message is above the limit"


@pytest.mark.parametrize(("reply", "scope"), [(CONTENT, Scope.MESSAGE), (TOPIC_CUT, Scope.ROUTE)])
def test_unclear_refusal_is_final_if_others_are_accepted(clock: Clock, reply: Reply, scope: Scope) -> None:
    for accepted_between in (False, True):
        first, second = judge_twice(clock, EVENT, reply, accepted_between=accepted_between)
        assert first
        assert second
        assert (first.scope, first.final, second.final) == (scope, False, accepted_between)


def test_refusal_is_forgotten_when_its_route_is_accepted(clock: Clock) -> None:
    refusals = create_refusals(clock)
    refusals.judge(EVENT, TOPIC_CUT, 0)
    clock.now += 2
    refusals.forget_accepted(ROUTE)
    refusal = refusals.judge(EVENT, TOPIC_CUT, clock.now - 1)
    assert refusal
    assert not refusal.final, "a login backend that fails for a moment, a second time"


def test_many_refusals_in_a_row_are_probably_of_all_events(clock: Clock) -> None:
    refusals = create_refusals(clock)
    events = [Batch(EVENT.pending, ROUTE, [b"{}"], [i]) for i in range(IN_A_ROW_MAX + 1)]
    found = []
    for event in events:
        clock.now += 1
        refusals.judge(event, CONTENT, 0)
        found.append(refusals.probably_all)
    assert found == [False] * IN_A_ROW_MAX + [True]
    clock.now += 1
    refusals.judge(events[0], CONTENT, clock.now - 0.5)
    assert not refusals.probably_all, "the broker has accepted an event"


def test_each_attempt_counts_refusals_in_a_row_again(clock: Clock) -> None:
    refusals = create_refusals(clock)
    for number in range(IN_A_ROW_MAX + 1):
        refusals.judge(Batch(EVENT.pending, ROUTE, [b"{}"], [number]), CONTENT, 0)
    refusals.start_attempt()
    assert not refusals.probably_all


@pytest.mark.parametrize("reply", [EXCHANGE_3, MISSING, TOPIC_3])
def test_refused_dead_letter_route_is_never_final(clock: Clock, reply: Reply) -> None:
    first, second = judge_twice(clock, DEAD_LETTER, reply, accepted_between=True)
    assert first
    assert second
    assert (first.scope, first.final, second.final) == (Scope.ROUTE, False, False)


def test_dead_letter_counts_events_accepted_shortly_before(clock: Clock) -> None:
    refusals = create_refusals(clock)
    for age, final in ((DEAD_LETTER_SECONDS - 1, True), (DEAD_LETTER_SECONDS + 1, False)):
        accepted = clock.now - age
        first = refusals.judge(DEAD_LETTER, CONTENT, accepted)
        assert first
        assert not first.final
        second = refusals.judge(DEAD_LETTER, CONTENT, accepted)
        assert second
        assert second.final is final


def test_refused_route_is_tested_after_a_minute(clock: Clock) -> None:
    refusals = create_refusals(clock)
    assert (refusal := refusals.judge(EVENT, TOPIC_3, 0))
    assert not refusals.start_test(refusal, ROUTE)
    clock.now += TEST_SECONDS
    assert refusals.find(ROUTE) == refusal
    assert refusals.start_test(refusal, ROUTE)
    assert refusals.find(ROUTE) is None


def test_one_route_is_tested_at_a_time(clock: Clock) -> None:
    refusals = create_refusals(clock)
    routes = [Route("logs", f"logs.{i}") for i in range(2)]
    replies = [Reply(403, TOPIC_3.text.replace("logs.a", route.key)) for route in routes]
    batches = [Batch(EVENT.pending, route, [b"{}"], [1]) for route in routes]
    found = [refusals.judge(batch, reply, 0) for batch, reply in zip(batches, replies, strict=True)]
    clock.now += TEST_SECONDS
    assert [refusals.start_test(refusal, route) for refusal, route in zip(found, routes, strict=True) if refusal] == [
        True,
        False,
    ]
    clock.now += TEST_PAUSE_SECONDS
    assert found[1]
    assert refusals.start_test(found[1], routes[1])


def test_only_kept_routes_are_forgotten_together(clock: Clock) -> None:
    refusals = create_refusals(clock)
    refusals.judge(EVENT, TOPIC_3, 0)
    refusals.judge(DEAD_LETTER, MISSING, 0)
    refusals.start_attempt()
    assert refusals.find(ROUTE)
    assert refusals.find(DEAD_LETTER.route) is None
