"""Tests of refused messages under load, and of a broker that fails while the relay isolates refused messages."""

from __future__ import annotations

import json
from collections.abc import Callable

from labtesting.beats import Shipper
from labtesting.rabbitmq import RabbitMQ

from logstashrmq.tests.harness import Queue, RelayProcess, StartRelay, wait_until
from logstashrmq.tests.refusing_broker import EVERYTHING, LimitedUser, RefusingPlugin
from logstashrmq.tests.tcp_proxy import TcpProxy

EVENTS = 20_000
BY_NAMESPACE = {"AMQP_ROUTING_KEY": "logs.%{[namespace]}"}
OPEN_ONLY = "^logs[.]open"


def make_events(name: str, choose_namespace: Callable[[int], str]) -> list[bytes]:
    """Return events of about 600 bytes. `choose_namespace` returns the namespace for the number of an event."""
    return [
        json.dumps({"id": f"{name}-{i}", "namespace": choose_namespace(i), "message": "x" * 500}).encode()
        for i in range(EVENTS // 2)
    ]


def list_ids(events: list[bytes], namespace: str) -> set[str]:
    """Return the ids of the events in namespaces whose name starts with `namespace`."""
    return {event["id"] for event in map(json.loads, events) if event["namespace"].startswith(namespace)}


def ship(relay: RelayProcess, events: list[bytes]) -> list[Shipper]:
    """Start to ship events over two connections."""
    half = len(events) // 2
    shippers = [Shipper(relay.port, part) for part in (events[:half], events[half:])]
    for shipper in shippers:
        shipper.start()
    return shippers


def test_refused_events_under_load_need_few_channels(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ, limited_user: LimitedUser
) -> None:
    dead = Queue(broker)
    limited_user.allow_keys(queue, OPEN_ONLY)
    relay = start_relay(**limited_user.settings, **BY_NAMESPACE, AMQP_DEAD_LETTER=f"/{dead.name}")
    # Like filebeat, the client sends many consecutive events of one namespace.
    events = make_events("a", lambda i: "secret" if i // 50 % 10 == 9 else f"open-{i // 50 % 9}")
    shippers = ship(relay, events)
    for shipper in shippers:
        shipper.finish(60)
    assert set(queue.collect()) == list_ids(events, "open")
    assert dead.collect() == dict.fromkeys(list_ids(events, "secret"), 1)
    assert relay.metric('broker_refusals_total{code="403"}') <= 4
    assert [shipper.reconnects for shipper in shippers] == [0, 0]


def test_connection_is_cut_during_the_isolation(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ, limited_user: LimitedUser
) -> None:
    dead = Queue(broker)
    limited_user.allow_keys(queue, OPEN_ONLY)
    proxy = TcpProxy(broker.port)
    settings = {"AMQP_PORT": str(proxy.port), "AMQP_DEAD_LETTER": f"/{dead.name}"}
    relay = start_relay(**limited_user.settings, **BY_NAMESPACE, **settings)
    # The relay publishes the first message of each namespace alone, so the isolation takes hundreds of steps.
    events = make_events("a", lambda i: f"secret-{i % 3}" if i % 1000 == 999 else f"open-{i // 5}")
    shippers = ship(relay, events)
    for connects in range(3, 6):
        relay.wait_for_metric('broker_refusals_total{code="403"}', 1)
        published = relay.metric("events_confirmed_total")
        relay.wait_for_metric("events_confirmed_total", published + 50)
        proxy.cut()
        relay.wait_for_metric("broker_connects_total", connects)
    for shipper in shippers:
        shipper.finish(60)
    proxy.close()
    assert set(queue.collect()) == list_ids(events, "open")
    assert set(dead.collect()) == list_ids(events, "secret")
    assert [shipper.reconnects for shipper in shippers] == [0, 0]


def test_broker_is_killed_during_the_isolation(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ, plugin: RefusingPlugin
) -> None:
    relay = start_relay()
    plugin.refuse(queue.exchange, "poison")
    events = make_events("a", lambda i: "poison" if i % 1000 == 999 else "open")
    shippers = ship(relay, events)
    relay.wait_for_metric('broker_refusals_total{code="406"}', 3)
    broker.kill()
    relay.wait_for_metric("broker_connect_failures_total", 1)
    broker.start()  # after the restart the plugin is not loaded, so the broker accepts all events
    queue.declare()
    for shipper in shippers:
        shipper.finish(60)
    dropped = relay.metric('events_dropped_total{reason="refused"}')
    assert len(list_ids(events, "") - set(queue.collect())) == dropped
    assert [shipper.reconnects for shipper in shippers] == [0, 0]


def test_new_permission_takes_effect_after_a_minute(
    start_relay: StartRelay, queue: Queue, limited_user: LimitedUser
) -> None:
    limited_user.allow_keys(queue, OPEN_ONLY)
    relay = start_relay(**limited_user.settings, **BY_NAMESPACE)
    events = make_events("a", lambda i: "secret" if i % 2 else "open")
    # `collect` reads until the queue is empty. Without pauses between the windows, the queue would never be empty.
    shipper = Shipper(relay.port, events, window=10, pipelining=1, pause=0.5)
    shipper.start()
    relay.wait_for_metric('events_dropped_total{reason="refused"}', 1)
    limited_user.allow_keys(queue, EVERYTHING)
    wait_until(lambda: list_ids(events, "secret") & set(queue.collect()), "events of the namespace arrive", 100)
    shipper.stop()
    received = set(queue.collect())
    dropped = relay.metric('events_dropped_total{reason="refused"}')
    assert len(list_ids(events[: shipper.acknowledged], "") - received) == dropped
    assert relay.metric('broker_refusals_total{code="403"}') <= 4
