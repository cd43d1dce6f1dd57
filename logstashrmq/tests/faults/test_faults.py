"""Whatever fails: at the end each event is in the queue at least once, and memory stayed bounded meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from labtesting.beats import BeatsClient, Shipper, make_events
from labtesting.rabbitmq import RabbitMQ

from logstashrmq.tests.harness import (
    Certificates,
    Queue,
    RelayProcess,
    StartRelay,
    Watch,
    Wire,
    wait_until,
)

EVENTS = 20_000
MEGABYTE = 1024 * 1024
# A bare relay has 40 MB; the rest is what it may hold in flight, as bodies and as frames.
BOUND = 120 * MEGABYTE
LIMITS = {"RELAY_MAX_IN_FLIGHT": "5000", "BEATS_KEEPALIVE_SECONDS": "0.5", "AMQP_HEARTBEAT_SECONDS": "2"}


@contextmanager
def in_little_memory(relay: RelayProcess) -> Iterator[None]:
    """Watch a relay, until this ends or the relay does."""
    with Watch(relay) as watch:
        yield
    assert 0 < watch.peak < BOUND


@contextmanager
def shipping(relay: RelayProcess, *names: str, count: int = EVENTS, at: float = 0.2) -> Iterator[list[Shipper]]:
    """Ship events, and go on when part of them is confirmed; at the end all must be acknowledged."""
    shippers = [Shipper(relay.port, make_events(count // len(names), name)) for name in names]
    with in_little_memory(relay):
        for shipper in shippers:
            shipper.start()
        relay.wait_for_metric("events_confirmed_total", count * at)
        yield shippers
        for shipper in shippers:
            shipper.finish(60)


def expect(queue: Queue, *names: str, count: int = EVENTS) -> dict[str, int]:
    """Assert that all events are in the queue; give those that are there more than once."""
    found = queue.collect()
    wanted = {f"{name}-{i}" for name in names for i in range(count // len(names))}
    assert wanted - set(found) == set()
    return {key: times for key, times in found.items() if times > 1}


def test_the_broker_is_killed_and_comes_back(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    relay = start_relay(**LIMITS)
    with shipping(relay, "a", "b", count=40_000) as shippers:
        broker.kill()
        relay.wait_for_metric("broker_connect_failures_total", 2)
        assert relay.ask("/live").status_code == 200
        assert relay.ask("/ready").status_code == 200, "restarting the relay would not mend the broker"
        broker.start()
    expect(queue, "a", "b", count=40_000)
    assert [shipper.reconnects for shipper in shippers] == [0, 0], "filebeat was kept waiting, not sent away"
    assert relay.metric("keepalives_total") > 0


def test_the_broker_is_short_of_memory(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    relay = start_relay(**LIMITS | {"RELAY_MAX_IN_FLIGHT": "200"})
    with shipping(relay, "a") as (shipper,):
        try:
            broker.control("set_vm_memory_high_watermark", "0.0000001")
            relay.wait_for_metric("broker_blocked", 1)
            # More comes all the time, and stays where it is: at filebeat.
            relay.wait_for_metric("readers_waiting", 1)
            acknowledged = shipper.acknowledged
            relay.wait_for_metric("keepalives_total", 5)
            assert shipper.acknowledged == acknowledged
        finally:
            broker.control("set_vm_memory_high_watermark", "0.4")
    assert shipper.reconnects == 0
    assert expect(queue, "a") == {}


def test_who_waits_for_room_is_kept_alive_and_who_goes_away_leaves_the_line(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ
) -> None:
    wire = Wire(broker.port)
    relay = start_relay(**LIMITS | {"RELAY_MAX_IN_FLIGHT": "10"}, AMQP_PORT=str(wire.port))
    wire.close()
    wait_until(lambda: relay.metric("broker_up") == 0, "the broker is away")
    with BeatsClient(relay.port) as first, BeatsClient(relay.port) as second:
        first.send(make_events(20, "a"))
        relay.wait_for_metric("in_flight_events", 20)
        second.send(make_events(20, "b"))
        assert second.read_ack() == 0, "it has no room yet, and is told that all is well"
        assert relay.metric("readers_waiting") == 1
        assert first.read_ack() == 0
    wait_until(lambda: relay.metric("connections") == 0, "they are gone")
    assert (relay.metric("readers_waiting"), relay.metric("in_flight_events")) == (0, 20)


def test_the_brokers_disk_is_full(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    relay = start_relay(**LIMITS)
    with shipping(relay, "a") as (shipper,):
        try:
            broker.control("set_disk_free_limit", "1000000GB")
            relay.wait_for_metric("broker_blocked", 1)
            relay.wait_for_metric("keepalives_total", 3)
        finally:
            broker.control("set_disk_free_limit", "50MB")
    assert shipper.reconnects == 0
    assert expect(queue, "a") == {}


def test_the_network_to_the_broker_is_cut(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    wire = Wire(broker.port)
    relay = start_relay(**LIMITS, AMQP_PORT=str(wire.port))
    with shipping(relay, "a", "b", count=40_000) as shippers:
        wire.cut()
        relay.wait_for_metric("broker_connects_total", 2)
        wire.cut()
    wire.close()
    expect(queue, "a", "b", count=40_000)
    assert [shipper.reconnects for shipper in shippers] == [0, 0]


def test_the_network_to_the_broker_goes_silent(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    wire = Wire(broker.port)
    relay = start_relay(**LIMITS, AMQP_PORT=str(wire.port))
    with shipping(relay, "a") as (shipper,):
        wire.silent = True
        wait_until(lambda: relay.logged("lost the session with the broker"), "heartbeats are missed")
        wire.cut()
    wire.close()
    expect(queue, "a")
    assert shipper.reconnects == 0


def test_the_exchange_is_deleted_and_made_again(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(**LIMITS)
    with shipping(relay, "a") as (shipper,):
        with queue.channel() as channel:
            channel.exchange_delete(queue.exchange)
        relay.wait_for_metric("broker_connect_failures_total", 1)
        queue.declare()
    expect(queue, "a")
    reasons = {str(line["event.reason"]) for line in relay.logged("no session with the broker")}
    assert any(f"no exchange '{queue.exchange}'" in reason for reason in reasons)
    assert shipper.reconnects == 0


def test_the_queue_is_unbound_and_bound_again(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(**LIMITS)
    with shipping(relay, "a") as (shipper,):
        with queue.channel() as channel:
            channel.queue_unbind(queue.name, queue.exchange, "#")
        relay.wait_for_metric("events_returned_total", 1)
        queue.declare()
    assert expect(queue, "a") == {}
    assert shipper.reconnects == 0


def test_a_queue_that_is_full_refuses_and_is_emptied(start_relay: StartRelay, broker: RabbitMQ, queue: Queue) -> None:
    with queue.channel() as channel:
        channel.queue_delete(queue.name)
    queue.declare(**{"x-max-length": 5000, "x-overflow": "reject-publish"})
    relay = start_relay(**LIMITS)
    with shipping(relay, "a"):
        relay.wait_for_metric("events_nacked_total", 1)
        wait_until(lambda: len(queue.collect()) == EVENTS, "all came through", 60)
    assert expect(queue, "a") == {}


def test_the_relay_is_killed_and_comes_back(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay()
    shippers = [Shipper(relay.port, make_events(EVENTS, name)) for name in "ab"]
    with in_little_memory(relay):
        for shipper in shippers:
            shipper.start()
        relay.wait_for_metric("events_confirmed_total", EVENTS / 5)
        relay.stop(signal.SIGKILL)
    again = start_relay(BEATS_PORT=str(relay.port))
    with in_little_memory(again):
        for shipper in shippers:
            shipper.finish()
    assert again.metric("events_confirmed_total") > 0
    expect(queue, "a", "b", count=2 * EVENTS)


@pytest.mark.parametrize("tls", [False, True])
def test_sigterm_under_load_loses_nothing_and_makes_no_duplicate(
    start_relay: StartRelay, queue: Queue, certificates: Certificates, tls: bool
) -> None:
    settings = certificates.beats_environment if tls else {}
    context = certificates.client_context() if tls else None
    relay = start_relay(**settings)
    shippers = [Shipper(relay.port, make_events(EVENTS // 4, name), window=300, tls=context) for name in "abcd"]
    with in_little_memory(relay):
        for shipper in shippers:
            shipper.start()
        relay.wait_for_metric("events_confirmed_total", EVENTS / 10)
        assert relay.stop() == 0
    assert any(shipper.is_alive() for shipper in shippers), "it was stopped in the middle"
    again = start_relay(BEATS_PORT=str(relay.port), **settings)
    with in_little_memory(again):
        for shipper in shippers:
            shipper.finish()
    assert again.metric("events_confirmed_total") > 0
    assert expect(queue, *"abcd") == {}


def test_sigterm_without_a_broker_ends_in_time_and_acknowledges_nothing(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ
) -> None:
    wire = Wire(broker.port)
    relay = start_relay(AMQP_PORT=str(wire.port), RELAY_DRAIN_SECONDS="1")
    wire.close()
    wait_until(lambda: relay.metric("broker_up") == 0, "the broker is away")
    shipper = Shipper(relay.port, make_events(1000, "a"))
    with in_little_memory(relay):
        shipper.start()
        relay.wait_for_metric("in_flight_events", 1000)
        assert relay.stop() == 0
    assert shipper.acknowledged == 0
    again = start_relay(BEATS_PORT=str(relay.port))
    shipper.finish()
    assert again.metric("events_confirmed_total") == 1000
    assert expect(queue, "a", count=1000) == {}


def test_at_the_deadline_what_is_safe_is_acknowledged_in_part(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(RELAY_DRAIN_SECONDS="0.2", BEATS_STALL_SECONDS="60")
    events = make_events(10, "a")
    with in_little_memory(relay), BeatsClient(relay.port) as client:
        whole = client._connection.send(events, level=0)
        client.socket.sendall(whole[: len(whole) * 3 // 4])
        relay.wait_for_metric("events_confirmed_total", 7)
        relay.process.send_signal(signal.SIGTERM)
        assert client.read_until(7)[-1] == 7
        assert relay.process.wait(10) == 0
    assert len(queue.collect()) == 7


def test_certificates_are_changed_while_connections_stay(
    start_relay: StartRelay, queue: Queue, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> None:
    old = Certificates(tmp_path_factory.mktemp("old"))
    outdated = old.client_context()
    relay = start_relay(**old.beats_environment)
    with in_little_memory(relay), BeatsClient(relay.port, outdated) as before:
        for name in ("ca", "server"):
            for file in old.ca.parent.glob(f"{name}.*"):
                file.write_bytes((certificates.ca.parent / file.name).read_bytes())
        relay.wait_for_metric("certificates_loaded_total", 1)
        with BeatsClient(relay.port, certificates.client_context()) as after:
            for name, client in (("a", after), ("b", before)):
                client.send(make_events(10, name))
                client.read_until(10)
    with pytest.raises(OSError, match="certificate verify failed"):
        BeatsClient(relay.port, outdated)
    assert expect(queue, "a", "b", count=20) == {}


def test_new_certificates_that_are_of_no_use_change_nothing(
    start_relay: StartRelay, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = Certificates(tmp_path_factory.mktemp("own"))
    relay = start_relay(**own.beats_environment)
    own.server[0].write_text("no certificate")
    with in_little_memory(relay):
        relay.wait_for_metric("certificates_failed_total", 1)
        ship_one(relay, own)


@pytest.mark.parametrize("instead", ["nothing", "a folder"])
def test_certificates_that_cannot_be_read_for_a_while_change_nothing(
    start_relay: StartRelay, tmp_path_factory: pytest.TempPathFactory, instead: str
) -> None:
    own = Certificates(tmp_path_factory.mktemp("own"))
    relay = start_relay(**own.beats_environment)
    cert, key = own.server
    key.unlink()
    if instead == "a folder":
        key.mkdir()
    with in_little_memory(relay):
        relay.wait_for_metric("certificates_failed_total", 1)
        assert relay.logged("the new certificates are of no use")
        ship_one(relay, own)
        if instead == "a folder":
            key.rmdir()
        assert own.issue("server", "localhost") == (cert, key)
        relay.wait_for_metric("certificates_loaded_total", 1)
        ship_one(relay, own)
    with pytest.raises(OSError, match="certificate verify failed"):
        BeatsClient(relay.port, own.client_context(), "127.0.0.1")


def ship_one(relay: RelayProcess, certificates: Certificates) -> None:
    """Send an event over a new connection, to a relay that shows a certificate of these."""
    with BeatsClient(relay.port, certificates.client_context()) as client:
        client.send(make_events(1, "a"))
        assert client.read_until(1)[-1] == 1
