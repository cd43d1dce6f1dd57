"""Tests with clients of other projects. Without faults, each event arrives in the queue once, with unchanged bytes."""

from __future__ import annotations

import json
import ssl
import subprocess
from pathlib import Path

import pytest
from labtesting.beats import BeatsClient, Shipper, make_events
from labtesting.rabbitmq import RabbitMQ
from pylogbeat import PyLogBeatClient

from logstashrmq.tests.harness import Certificates, Queue, StartRelay, wait_until


def run_golumber(program: Path, port: int, *options: str, events: int = 1000, name: str = "go") -> None:
    """Ship events with `golumber`, a client that uses Elastic's library go-lumber."""
    command: list[str | Path] = [program, "-address", f"127.0.0.1:{port}", "-events", f"{events}", "-name", name]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=180)
    assert done.stdout == f"acknowledged {events}\n", done.stderr
    assert done.returncode == 0, done.stderr


def each_once(name: str, count: int) -> dict[str, int]:
    """Return the expected counts for a queue that has received each event of a client once."""
    return {f"{name}-{i}": 1 for i in range(count)}


def test_go_lumber_with_every_compression_level(start_relay: StartRelay, queue: Queue, golumber: Path) -> None:
    relay = start_relay()
    for level in range(10):
        run_golumber(golumber, relay.port, "-compression", str(level), "-window", "300", name=f"level{level}")
    expected = {key: 1 for level in range(10) for key in each_once(f"level{level}", 1000)}
    assert queue.collect() == expected


@pytest.mark.parametrize("pipelining", [0, 1, 2, 8])
def test_go_lumber_with_pipelining(start_relay: StartRelay, queue: Queue, golumber: Path, pipelining: int) -> None:
    relay = start_relay()
    run_golumber(golumber, relay.port, "-pipelining", str(pipelining), "-window", "100", events=3000)
    assert queue.collect() == each_once("go", 3000)


@pytest.mark.parametrize("verify", ["required", "optional", "none"])
def test_go_lumber_with_tls(
    start_relay: StartRelay, queue: Queue, golumber: Path, certificates: Certificates, verify: str
) -> None:
    relay = start_relay(**certificates.beats_environment, BEATS_TLS_VERIFY=verify)
    options = ["-ca", str(certificates.ca)]
    if verify == "required":
        options += ["-cert", str(certificates.client[0]), "-key", str(certificates.client[1])]
    for level in (0, 3):
        run_golumber(golumber, relay.port, *options, "-compression", str(level), name=f"tls{level}", events=3000)
    assert queue.collect() == each_once("tls0", 3000) | each_once("tls3", 3000)


def test_relay_uses_tls_to_client_and_broker(
    start_relay: StartRelay, queue: Queue, golumber: Path, certificates: Certificates, broker: RabbitMQ
) -> None:
    cert, key = map(str, certificates.client)
    relay = start_relay(
        **certificates.beats_environment,
        AMQP_TLS="true",
        AMQP_PORT=str(broker.tls_port),
        AMQP_TLS_CA_FILE=str(certificates.ca),
        AMQP_TLS_CERT_FILE=cert,
        AMQP_TLS_KEY_FILE=key,
    )
    run_golumber(golumber, relay.port, "-ca", str(certificates.ca), "-cert", cert, "-key", key, events=5000)
    assert queue.collect() == each_once("go", 5000)


@pytest.mark.parametrize("tls", [False, True])
def test_pylogbeat_delivers_events(
    start_relay: StartRelay, queue: Queue, certificates: Certificates, tls: bool
) -> None:
    relay = start_relay(**(certificates.beats_environment if tls else {}))
    cert, key = map(str, certificates.client)
    files = {"ssl_enable": True, "ca_certs": str(certificates.ca), "certfile": cert, "keyfile": key} if tls else {}
    with PyLogBeatClient("127.0.0.1", relay.port, timeout=180, **files) as client:
        for window in range(5):  # unlike filebeat, pylogbeat does not restart its sequence numbers in each window
            client.send([{"id": f"py-{window * 200 + i}", "message": "ä" * 100} for i in range(200)])
    assert queue.collect() == each_once("py", 1000)


@pytest.mark.parametrize("tls", [False, True])
def test_closed_connections_log_no_warning(start_relay: StartRelay, certificates: Certificates, tls: bool) -> None:
    relay = start_relay(**(certificates.beats_environment if tls else {}))
    for _ in range(10):
        with BeatsClient(relay.port, certificates.client_context() if tls else None) as client:
            client.send(make_events(10, "a"))
            assert client.read_until(10)[-1] == 10
    wait_until(lambda: relay.metric("connections") == 0, "the connections are closed")
    assert relay.stop() == 0
    assert {json.loads(line)["log.level"] for line in relay.log.read_text().splitlines()} == {"info"}


def test_no_tls_session_ticket_is_sent(start_relay: StartRelay, certificates: Certificates) -> None:
    relay = start_relay(**certificates.beats_environment)
    with BeatsClient(relay.port, certificates.client_context()) as client:
        client.send(make_events(1, "a"))
        assert client.read_until(1)[-1] == 1
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.version() == "TLSv1.3"
        session = client.socket.session
        assert session is None or not session.has_ticket


def test_bytes_of_an_event_do_not_change(start_relay: StartRelay, queue: Queue) -> None:
    events = [
        b'{ "a" :1.0,"b":"\\u00e4","a":2}',
        '{"id": "ü", "big": 1e400}'.encode(),
        b' {"id":12345678901234567890} ',
    ]
    relay = start_relay(AMQP_ROUTING_KEY="lsst.logs")
    with BeatsClient(relay.port) as client:
        client.send(events)
        assert client.read_until(3)[-1] == 3
    messages = queue.read()
    assert [body for _, _, body in messages] == events
    assert {method.routing_key for method, _, _ in messages} == {"lsst.logs"}
    assert {(properties.content_type, properties.delivery_mode) for _, properties, _ in messages} == {
        ("application/json", 2)
    }
    assert len({properties.message_id for _, properties, _ in messages}) == 3


def test_many_simultaneous_connections_deliver(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay()
    shippers = [Shipper(relay.port, make_events(300, f"c{i}"), window=100, level=i % 10) for i in range(50)]
    for shipper in shippers:
        shipper.start()
    for shipper in shippers:
        shipper.finish()
    assert sum(shipper.reconnects for shipper in shippers) == 0
    assert queue.collect() == {key: 1 for i in range(50) for key in each_once(f"c{i}", 300)}


@pytest.mark.parametrize("kind", ["quorum", "stream"])
def test_quorum_queues_and_streams_receive_events(start_relay: StartRelay, broker: RabbitMQ, kind: str) -> None:
    queue = Queue(broker, kind)
    relay = start_relay(AMQP_EXCHANGE=queue.exchange)
    shipper = Shipper(relay.port, make_events(3000, kind))
    shipper.start()
    shipper.finish()
    assert queue.collect() == each_once(kind, 3000)


def test_routing_key_from_fields_and_added_fields(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay(
        AMQP_ROUTING_KEY="logs.%{[kubernetes][namespace]}.%{[level]}", RELAY_FIELDS='{"site": "summit", "n": 3}'
    )
    with BeatsClient(relay.port) as client:
        client.send([b'{"id":"a","kubernetes":{"namespace":"x.y"},"level":"info"}', b'{"id":"b","n":1}'])
        client.read_until(2)
    assert [(method.routing_key, json.loads(body)) for method, _, body in queue.read()] == [
        ("logs.x_y.info", {"id": "a", "kubernetes": {"namespace": "x.y"}, "level": "info", "site": "summit", "n": 3}),
        ("logs.unknown.unknown", {"id": "b", "site": "summit", "n": 3}),
    ]
