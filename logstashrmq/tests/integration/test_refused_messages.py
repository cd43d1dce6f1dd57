"""Tests of messages because of which RabbitMQ closes the channel: the relay isolates them and delivers all others."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from labtesting.beats import BeatsClient
from labtesting.rabbitmq import RabbitMQ

from logstashrmq.tests.harness import Queue, StartRelay
from logstashrmq.tests.refusing_broker import EVERYTHING, NOTHING, LimitedUser, RefusingPlugin

BY_NAMESPACE = {"AMQP_ROUTING_KEY": "logs.%{[namespace]}"}
OPEN_ONLY = "^logs[.]open"


def make_events(*namespaces: str, first: int = 0) -> list[bytes]:
    """Return one event for each namespace. The id of an event is its index in the list."""
    return [
        json.dumps({"id": str(i), "namespace": namespace, "message": "x" * 300}).encode()
        for i, namespace in enumerate(namespaces, first)
    ]


def list_ids(count: int, first: int = 0, step: int = 1) -> set[str]:
    """Return the ids of events."""
    return {str(i) for i in range(first, count, step)}


def read_dead_letters(dead: Queue) -> list[tuple[str, dict[str, Any]]]:
    """Remove the dead letters from a queue, and return the id and the headers of each."""
    return [(json.loads(body)["id"], dict(properties.headers)) for _, properties, body in dead.read()]


def close_connections(broker: RabbitMQ) -> None:
    """Close all connections to the broker, as an administrator does."""
    broker.evaluate("[rabbit_networking:close_connection(P, <<>>) || P <- rabbit_networking:connections()]")


def test_refused_routing_key_stops_no_other_event(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ, limited_user: LimitedUser
) -> None:
    dead = Queue(broker)
    limited_user.allow_keys(queue, OPEN_ONLY)
    relay = start_relay(**limited_user.settings, **BY_NAMESPACE, AMQP_DEAD_LETTER=f"/{dead.name}")
    with BeatsClient(relay.port) as client:
        client.send(make_events(*["open", "secret", "open.too"] * 20))
        assert client.read_until(60)[-1] == 60
    assert set(queue.collect()) == list_ids(60) - list_ids(60, 1, 3)
    dead_letters = read_dead_letters(dead)
    assert Counter(event for event, _ in dead_letters) == Counter(list_ids(60, 1, 3))
    assert {json.dumps(headers) for _, headers in dead_letters} == {
        json.dumps(
            {
                "x-relay-reason": "refused",
                "x-exchange": queue.exchange,
                "x-key": "logs.secret",
                "x-reply-code": 403,
                "x-reply-text": f"ACCESS_REFUSED - access to topic 'logs.secret' in exchange '{queue.exchange}' "
                f"in vhost '/' refused for user '{limited_user.name}'",
            }
        )
    }
    assert relay.metric('events_dead_lettered_total{reason="refused"}') == 20


def test_refused_routing_key_is_not_published_again(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ, limited_user: LimitedUser
) -> None:
    limited_user.allow_keys(queue, OPEN_ONLY)
    relay = start_relay(**limited_user.settings, **BY_NAMESPACE)
    with BeatsClient(relay.port) as client:
        for first in range(0, 100, 10):
            client.send(make_events(*["secret", "open"] * 5, first=first))
            assert client.read_until(10)[-1] == 10
    assert set(queue.collect()) == list_ids(100, 1, 2)
    assert relay.metric('broker_refusals_total{code="403"}') <= 2
    assert relay.metric('events_dropped_total{reason="refused"}') == 50, "there is no dead-letter route"


def test_events_keep_their_order_during_the_isolation(
    start_relay: StartRelay, queue: Queue, limited_user: LimitedUser
) -> None:
    limited_user.allow_keys(queue, OPEN_ONLY)
    relay = start_relay(**limited_user.settings, **BY_NAMESPACE)
    with BeatsClient(relay.port) as client:
        client.send(make_events(*["open.a"] * 100, *["open.b", "secret", "open.c"] * 100))
        client.send(make_events(*["open.c", "hidden"] * 100, first=400))
        client.read_until(400)
        assert client.read_until(200)[-1] == 200
    received = list(dict.fromkeys(json.loads(body)["id"] for _, _, body in queue.read()))
    assert received == sorted(received, key=int)
    assert set(received) == list_ids(600) - list_ids(400, 101, 3) - list_ids(600, 401, 2)


@pytest.mark.parametrize("code", [406, 541])
def test_event_refused_for_its_content_stops_no_other(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ, plugin: RefusingPlugin, code: int
) -> None:
    dead = Queue(broker)
    relay = start_relay(AMQP_DEAD_LETTER=f"/{dead.name}")
    plugin.refuse(queue.exchange, "poison", code)
    with BeatsClient(relay.port) as client:
        client.send(make_events(*["good"] * 300, "poison", *["good"] * 299))
        assert client.read_until(600)[-1] == 600
    assert set(queue.collect()) == list_ids(600) - {"300"}
    ((event, headers),) = read_dead_letters(dead)
    assert (event, headers["x-relay-reason"], headers["x-reply-code"]) == ("300", "refused", code)
    assert relay.metric(f'broker_refusals_total{{code="{code}"}}') < 30, "the isolation takes few steps"


def test_dead_letter_refused_for_its_content_is_dropped(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ, plugin: RefusingPlugin
) -> None:
    dead = Queue(broker)
    relay = start_relay(AMQP_DEAD_LETTER=f"/{dead.name}")
    plugin.refuse(body="poison")
    with BeatsClient(relay.port) as client:
        client.send(make_events("good", "poison", "good"))
        assert client.read_until(3)[-1] == 3
    assert set(queue.collect()) == {"0", "2"}
    assert dead.count() == 0
    assert relay.metric('events_dropped_total{reason="refused"}') == 1


def test_event_is_kept_while_the_broker_refuses_all(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ, plugin: RefusingPlugin
) -> None:
    relay = start_relay()
    plugin.refuse(queue.exchange)
    with BeatsClient(relay.port) as client:
        client.send(make_events(*["good"] * 20))
        relay.wait_for_metric('events_published_again_total{reason="refused"}', 60)
        plugin.refuse("no such exchange")
        assert client.read_until(20)[-1] == 20
    assert set(queue.collect()) == list_ids(20)
    assert relay.metric('events_dropped_total{reason="refused"}') == 0


def test_refusal_of_all_events_needs_few_channels(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ, plugin: RefusingPlugin
) -> None:
    dead = Queue(broker)
    relay = start_relay(AMQP_DEAD_LETTER=f"/{dead.name}")
    plugin.refuse(queue.exchange)
    with BeatsClient(relay.port) as client:
        client.send(make_events(*["good"] * 1000))
        relay.wait_for_metric('events_published_again_total{reason="refused"}', 2000, 90)
        assert relay.metric('broker_refusals_total{code="406"}') < 400
        plugin.refuse("no such exchange")
        assert client.read_until(1000)[-1] == 1000
    assert set(queue.collect()) == list_ids(1000)
    assert dead.count() == 0


def test_many_refused_events_in_a_row_stop_no_other(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ, plugin: RefusingPlugin
) -> None:
    dead = Queue(broker)
    relay = start_relay(AMQP_DEAD_LETTER=f"/{dead.name}")
    plugin.refuse(queue.exchange, "poison")
    with BeatsClient(relay.port) as client:
        client.send(make_events(*["poison"] * 120, *["good"] * 50))
        assert client.read_until(170)[-1] == 170
    assert set(queue.collect()) == list_ids(170, 120)
    assert set(dead.collect()) == list_ids(120)


@pytest.mark.parametrize(
    ("exchanges", "keys", "settings"),
    [(NOTHING, EVERYTHING, BY_NAMESPACE), (EVERYTHING, NOTHING, {"AMQP_ROUTING_KEY": "logs"})],
)
def test_permission_that_all_events_need_makes_no_dead_letter(
    start_relay: StartRelay,
    queue: Queue,
    broker: RabbitMQ,
    limited_user: LimitedUser,
    exchanges: str,
    keys: str,
    settings: dict[str, str],
) -> None:
    dead = Queue(broker)
    limited_user.allow(exchanges)
    limited_user.allow_keys(queue, keys)
    relay = start_relay(**limited_user.settings, **settings, AMQP_DEAD_LETTER=f"/{dead.name}")
    with BeatsClient(relay.port) as client:
        client.send(make_events("a", "b", "c"))
        relay.wait_for_metric('events_published_again_total{reason="refused"}', 2)
        reason = str(relay.logged("the broker refuses all events")[0]["event.reason"])
        assert "ACCESS_REFUSED - access to" in reason
        limited_user.allow(EVERYTHING)
        limited_user.allow_keys(queue, EVERYTHING)
        assert client.read_until(3)[-1] == 3
    assert set(queue.collect()) == list_ids(3)
    assert dead.count() == 0
    assert relay.metric('events_dropped_total{reason="refused"}') == 0


def test_missing_exchange_makes_no_dead_letter(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    dead = Queue(broker)
    relay = start_relay(AMQP_DEAD_LETTER=f"/{dead.name}", **BY_NAMESPACE)
    with queue.channel() as channel:
        channel.exchange_delete(queue.exchange)
    with BeatsClient(relay.port) as client:
        client.send(make_events("a", "b", "c"))
        relay.wait_for_metric("broker_connect_failures_total", 2)
        assert relay.metric("broker_up") == 0
        assert "no exchange" in str(relay.logged("the broker refuses all events")[0]["event.reason"])
        queue.declare()
        assert client.read_until(3)[-1] == 3
    assert set(queue.collect()) == list_ids(3)
    assert dead.count() == 0


def test_refused_dead_letters_are_kept_and_stop_no_other_event(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ, limited_user: LimitedUser
) -> None:
    dead = Queue(broker)
    limited_user.allow(f"^{queue.exchange}$")
    relay = start_relay(**limited_user.settings, AMQP_DEAD_LETTER=f"/{dead.name}")
    with BeatsClient(relay.port) as client, BeatsClient(relay.port) as other:
        client.send([b"not an object", *make_events("good"), b"not an object either"])
        relay.wait_for_metric('events_published_again_total{reason="refused"}', 4)
        other.send(make_events("good", first=1))
        assert other.read_until(1)[-1] == 1
        assert set(queue.collect()) == list_ids(2)
        assert relay.metric("in_flight_events") == 3, "the window with the dead letters is not acknowledged"
        limited_user.allow(EVERYTHING)
        assert client.read_until(3)[-1] == 3
    assert [body for _, _, body in dead.read()] == [b"not an object", b"not an object either"]


def test_missing_exchange_of_dead_letters_stops_no_other_event(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ
) -> None:
    dead = Queue(broker)
    relay = start_relay(AMQP_DEAD_LETTER=f"{dead.exchange}/dead")
    with queue.channel() as channel:
        channel.exchange_delete(dead.exchange)
    with BeatsClient(relay.port) as client, BeatsClient(relay.port) as other:
        client.send([b"not an object"])
        relay.wait_for_metric('events_published_again_total{reason="refused"}', 2)
        other.send(make_events(*["good"] * 5))
        assert other.read_until(5)[-1] == 5
        close_connections(broker)
        other.send(make_events(*["good"] * 5, first=5))
        assert other.read_until(5)[-1] == 5
        dead.declare()
        assert client.read_until(1)[-1] == 1
    assert [body for _, _, body in dead.read()] == [b"not an object"]
    assert set(queue.collect()) == list_ids(10)
