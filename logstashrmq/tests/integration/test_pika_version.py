"""Test of an untested version of pika: the relay warns once, and publishes through the public API of pika."""

from __future__ import annotations

from pathlib import Path

from labtesting.beats import BeatsClient, make_events
from labtesting.logevents import assert_log_events
from labtesting.rabbitmq import RabbitMQ

from logstashrmq.tests.harness import Queue, StartRelay, install_pika_metadata
from logstashrmq.tests.tcp_proxy import TcpProxy

WARNING = (
    "pika 99.0 was not tested with this release (tested: 1.4.4): its patches are not applied; publishing uses more CPU"
)


def test_untested_pika_is_reported_once_and_delivers(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ, tmp_path: Path
) -> None:
    install_pika_metadata(tmp_path, "99.0")
    proxy = TcpProxy(broker.port)
    relay = start_relay(PYTHONPATH=str(tmp_path), AMQP_PORT=str(proxy.port))
    proxy.cut()
    relay.wait_for_metric("broker_connects_total", 2)
    with BeatsClient(relay.port) as client:
        client.send(make_events(1000, "a"))
        assert client.read_until(1000)[-1] == 1000
    proxy.close()
    assert [line["log.level"] for line in relay.logged(WARNING)] == ["warning"], "no second warning at a reconnect"
    assert_log_events(relay.log.read_text().splitlines())
    messages = queue.read()
    assert len(messages) == 1000
    assert {(properties.content_type, properties.delivery_mode) for _, properties, _ in messages} == {
        ("application/json", 2)
    }
    assert len({properties.message_id for _, properties, _ in messages}) == 1000


def test_tested_pika_is_not_reported(start_relay: StartRelay) -> None:
    assert "was not tested" not in start_relay().log.read_text()
