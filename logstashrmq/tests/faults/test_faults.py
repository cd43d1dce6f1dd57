"""Tests of faults of broker, network and relay: each event arrives at least once, and memory stays bounded."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from beatsrelay.lumberjack.connection import ClientConnection
from labtesting.beats import BeatsClient, Shipper, make_events
from labtesting.rabbitmq import RabbitMQ

from logstashrmq.tests.harness import (
    Certificates,
    MemoryWatch,
    Queue,
    RelayProcess,
    StartRelay,
    wait_until,
)
from logstashrmq.tests.tcp_proxy import TcpProxy

EVENTS = 20_000
MEGABYTE = 1024 * 1024
# An idle relay uses 40 MB of memory. Events in flight may use the rest. The relay stores them as bodies and as frames.
BOUND = 120 * MEGABYTE
LIMITS = {"RELAY_MAX_IN_FLIGHT": "5000", "BEATS_KEEPALIVE_SECONDS": "0.5", "AMQP_HEARTBEAT_SECONDS": "2"}


@contextmanager
def bounded_memory(relay: RelayProcess) -> Iterator[None]:
    """Assert that the relay's memory stays bounded while the block runs. The block may end the relay."""
    with MemoryWatch(relay) as watch:
        yield
    assert 0 < watch.peak < BOUND


@contextmanager
def shipping(relay: RelayProcess, *names: str, count: int = EVENTS, at: float = 0.2) -> Iterator[list[Shipper]]:
    """Ship events.

    Run the block when the fraction `at` of them is confirmed, and then wait for all acknowledgements.
    """
    shippers = [Shipper(relay.port, make_events(count // len(names), name)) for name in names]
    with bounded_memory(relay):
        for shipper in shippers:
            shipper.start()
        relay.wait_for_metric("events_confirmed_total", count * at)
        yield shippers
        for shipper in shippers:
            shipper.finish(60)


def assert_received(queue: Queue, *names: str, count: int = EVENTS) -> dict[str, int]:
    """Assert that the queue has received all events. Return the events that arrived more than once, and how often."""
    received = queue.collect()
    expected = {f"{name}-{i}" for name in names for i in range(count // len(names))}
    assert expected - set(received) == set()
    return {event: times for event, times in received.items() if times > 1}


def test_broker_is_killed_and_restarted(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    relay = start_relay(**LIMITS)
    with shipping(relay, "a", "b", count=40_000) as shippers:
        broker.kill()
        relay.wait_for_metric("broker_connect_failures_total", 2)
        assert relay.ask("/live").status_code == 200
        assert relay.ask("/ready").status_code == 200, "the relay stays ready: a restart would not repair the broker"
        broker.start()
        # RabbitMQ writes a new binding to the disk after up to two seconds. So RabbitMQ may have lost the binding when
        # it was killed. Without the binding, it would return all messages. Confirmed messages cannot be lost, because
        # they are on the disk.
        queue.declare()
    assert_received(queue, "a", "b", count=40_000)
    assert [shipper.reconnects for shipper in shippers] == [0, 0], "the connections of filebeat stay open"
    assert relay.metric("keepalives_total") > 0


def test_broker_is_short_of_memory(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    relay = start_relay(**LIMITS | {"RELAY_MAX_IN_FLIGHT": "200"})
    with shipping(relay, "a") as (shipper,):
        try:
            broker.control("set_vm_memory_high_watermark", "0.0000001")
            relay.wait_for_metric("broker_blocked", 1)
            # filebeat continues to send events. The relay must stop reading them, because it has no capacity.
            relay.wait_for_metric("readers_waiting", 1)
            acknowledged = shipper.acknowledged
            relay.wait_for_metric("keepalives_total", 5)
            assert shipper.acknowledged == acknowledged
        finally:
            broker.control("set_vm_memory_high_watermark", "0.4")
    assert shipper.reconnects == 0
    assert assert_received(queue, "a") == {}


def test_waiting_peers_get_keepalives_and_may_disconnect(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ
) -> None:
    proxy = TcpProxy(broker.port)
    relay = start_relay(**LIMITS | {"RELAY_MAX_IN_FLIGHT": "10"}, AMQP_PORT=str(proxy.port))
    proxy.close()
    wait_until(lambda: relay.metric("broker_up") == 0, "the session with the broker is lost")
    with BeatsClient(relay.port) as first, BeatsClient(relay.port) as second:
        first.send(make_events(20, "a"))
        relay.wait_for_metric("in_flight_events", 20)
        second.send(make_events(20, "b"))
        assert second.read_ack() == 0, "a peer that waits for capacity gets keep-alives"
        assert relay.metric("readers_waiting") == 1
        assert first.read_ack() == 0
    wait_until(lambda: relay.metric("connections") == 0, "the connections are closed")
    assert (relay.metric("readers_waiting"), relay.metric("in_flight_events")) == (0, 20)


def test_disk_of_the_broker_is_full(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    relay = start_relay(**LIMITS)
    with shipping(relay, "a") as (shipper,):
        try:
            broker.control("set_disk_free_limit", "1000000GB")
            relay.wait_for_metric("broker_blocked", 1)
            relay.wait_for_metric("keepalives_total", 3)
        finally:
            broker.control("set_disk_free_limit", "50MB")
    assert shipper.reconnects == 0
    assert assert_received(queue, "a") == {}


def test_network_to_the_broker_is_cut(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    proxy = TcpProxy(broker.port)
    relay = start_relay(**LIMITS, AMQP_PORT=str(proxy.port))
    with shipping(relay, "a", "b", count=40_000) as shippers:
        proxy.cut()
        relay.wait_for_metric("broker_connects_total", 2)
        proxy.cut()
    proxy.close()
    assert_received(queue, "a", "b", count=40_000)
    assert [shipper.reconnects for shipper in shippers] == [0, 0]


def test_network_to_the_broker_drops_all_data(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    proxy = TcpProxy(broker.port)
    relay = start_relay(**LIMITS, AMQP_PORT=str(proxy.port))
    with shipping(relay, "a") as (shipper,):
        proxy.silent = True
        wait_until(lambda: relay.logged("lost the session with the broker"), "heartbeats are missed")
        proxy.cut()
    proxy.close()
    assert_received(queue, "a")
    assert shipper.reconnects == 0


def test_exchange_is_deleted_and_declared_again(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(**LIMITS)
    with shipping(relay, "a") as (shipper,):
        with queue.channel() as channel:
            channel.exchange_delete(queue.exchange)
        relay.wait_for_metric("broker_connect_failures_total", 1)
        queue.declare()
    assert_received(queue, "a")
    reasons = {str(line["event.reason"]) for line in relay.logged("cannot open a session with the broker")}
    assert any(f"no exchange '{queue.exchange}'" in reason for reason in reasons)
    assert shipper.reconnects == 0


def test_queue_is_unbound_and_bound_again(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(**LIMITS)
    with shipping(relay, "a") as (shipper,):
        with queue.channel() as channel:
            channel.queue_unbind(queue.name, queue.exchange, "#")
        relay.wait_for_metric("events_returned_total", 1)
        queue.declare()
    assert assert_received(queue, "a") == {}
    assert shipper.reconnects == 0


def test_full_queue_refuses_messages_until_it_is_read(start_relay: StartRelay, broker: RabbitMQ, queue: Queue) -> None:
    with queue.channel() as channel:
        channel.queue_delete(queue.name)
    queue.declare(**{"x-max-length": 5000, "x-overflow": "reject-publish"})
    relay = start_relay(**LIMITS)
    with shipping(relay, "a"):
        relay.wait_for_metric("events_nacked_total", 1)
        wait_until(lambda: len(queue.collect()) == EVENTS, "all events arrived", 60)
    assert assert_received(queue, "a") == {}


def test_relay_is_killed_and_restarted(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay()
    shippers = [Shipper(relay.port, make_events(EVENTS, name)) for name in "ab"]
    with bounded_memory(relay):
        for shipper in shippers:
            shipper.start()
        relay.wait_for_metric("events_confirmed_total", EVENTS / 5)
        relay.stop(signal.SIGKILL)
    again = start_relay(BEATS_PORT=str(relay.port))
    with bounded_memory(again):
        for shipper in shippers:
            shipper.finish()
    assert again.metric("events_confirmed_total") > 0
    assert_received(queue, "a", "b", count=2 * EVENTS)


@pytest.mark.parametrize("tls", [False, True])
def test_sigterm_under_load_without_loss_or_duplicate(
    start_relay: StartRelay, queue: Queue, certificates: Certificates, tls: bool
) -> None:
    settings = certificates.beats_environment if tls else {}
    context = certificates.client_context() if tls else None
    relay = start_relay(**settings)
    shippers = [Shipper(relay.port, make_events(EVENTS // 4, name), window=300, tls=context) for name in "abcd"]
    with bounded_memory(relay):
        for shipper in shippers:
            shipper.start()
        relay.wait_for_metric("events_confirmed_total", EVENTS / 10)
        assert relay.stop() == 0
    assert any(shipper.is_alive() for shipper in shippers), "the relay was stopped before the end"
    again = start_relay(BEATS_PORT=str(relay.port), **settings)
    with bounded_memory(again):
        for shipper in shippers:
            shipper.finish()
    assert again.metric("events_confirmed_total") > 0
    assert assert_received(queue, *"abcd") == {}


def test_sigterm_without_a_broker_exits_in_time(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    proxy = TcpProxy(broker.port)
    relay = start_relay(AMQP_PORT=str(proxy.port), RELAY_DRAIN_SECONDS="1")
    proxy.close()
    wait_until(lambda: relay.metric("broker_up") == 0, "the session with the broker is lost")
    shipper = Shipper(relay.port, make_events(1000, "a"))
    with bounded_memory(relay):
        shipper.start()
        relay.wait_for_metric("in_flight_events", 1000)
        assert relay.stop() == 0
    assert shipper.acknowledged == 0
    again = start_relay(BEATS_PORT=str(relay.port))
    shipper.finish()
    assert again.metric("events_confirmed_total") == 1000
    assert assert_received(queue, "a", count=1000) == {}


def test_confirmed_events_are_acknowledged_at_the_deadline(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(RELAY_DRAIN_SECONDS="0.2", BEATS_STALL_SECONDS="60")
    events = make_events(10, "a")
    with bounded_memory(relay), BeatsClient(relay.port) as client:
        window = ClientConnection().send(events, level=0)
        client.socket.sendall(window[: len(window) * 3 // 4])
        relay.wait_for_metric("events_confirmed_total", 7)
        relay.process.send_signal(signal.SIGTERM)
        assert client.read_until(7)[-1] == 7
        assert relay.process.wait(180) == 0
    assert len(queue.collect()) == 7


def test_certificates_are_replaced_and_connections_stay_open(
    start_relay: StartRelay, queue: Queue, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> None:
    old = Certificates(tmp_path_factory.mktemp("old"))
    outdated = old.client_context()
    relay = start_relay(**old.beats_environment)
    with bounded_memory(relay), BeatsClient(relay.port, outdated) as before:
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
    assert assert_received(queue, "a", "b", count=20) == {}


def test_invalid_new_certificates_are_ignored(
    start_relay: StartRelay, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = Certificates(tmp_path_factory.mktemp("own"))
    relay = start_relay(**own.beats_environment)
    own.server[0].write_text("no certificate")
    with bounded_memory(relay):
        relay.wait_for_metric("certificates_failed_total", 1)
        ship_event(relay, own)


@pytest.mark.parametrize("instead", ["nothing", "a folder"])
def test_unreadable_new_certificates_are_ignored(
    start_relay: StartRelay, tmp_path_factory: pytest.TempPathFactory, instead: str
) -> None:
    own = Certificates(tmp_path_factory.mktemp("own"))
    relay = start_relay(**own.beats_environment)
    cert, key = own.server
    key.unlink()
    if instead == "a folder":
        key.mkdir()
    with bounded_memory(relay):
        relay.wait_for_metric("certificates_failed_total", 1)
        assert relay.logged("cannot load the new certificates")
        ship_event(relay, own)
        if instead == "a folder":
            key.rmdir()
        assert own.issue("server", "localhost") == (cert, key)
        relay.wait_for_metric("certificates_loaded_total", 1)
        ship_event(relay, own)
    with pytest.raises(OSError, match="certificate verify failed"):
        BeatsClient(relay.port, own.client_context(), "127.0.0.1")


def ship_event(relay: RelayProcess, certificates: Certificates) -> None:
    """Send an event over a new connection with these certificates, and check that the relay acknowledges it."""
    with BeatsClient(relay.port, certificates.client_context()) as client:
        client.send(make_events(1, "a"))
        assert client.read_until(1)[-1] == 1
