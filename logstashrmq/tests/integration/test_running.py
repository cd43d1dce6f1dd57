"""Tests of the relay's start, `--check`, logs and metrics, and of events that cannot be delivered."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from labtesting.beats import BeatsClient, Shipper, make_events
from labtesting.logevents import assert_log_events
from labtesting.rabbitmq import RabbitMQ

from logstashrmq.tests.conftest import environment
from logstashrmq.tests.harness import PLAIN, Certificates, Queue, RelayProcess, StartRelay, wait_until
from logstashrmq.tests.tcp_proxy import TcpProxy

DASHBOARD = Path(__file__).parents[2] / "grafana" / "dashboard.json"
ALERTS = Path(__file__).parents[3] / "docs/admin/alerts.rules.yaml"


def run_relay(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command of the relay, and wait until the process exits."""
    return subprocess.run(
        [sys.executable, "-m", "beatsrelay", *arguments],
        env={"PATH": os.environ["PATH"]} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def run_check(broker: RabbitMQ, queue: Queue, *arguments: str, **environ: str) -> tuple[int, list[str]]:
    """Run the relay with `--check`, and return the exit status and the lines of the output."""
    result = run_relay("--check", *arguments, **environment(broker, queue) | environ)
    assert result.stderr == ""
    return result.returncode, result.stdout.splitlines()


def test_invalid_setting_stops_the_start_with_one_line() -> None:
    result = run_relay(**PLAIN | {"AMQP_PORT": "amqps"})
    assert result.returncode == 1
    assert result.stderr.startswith("beatsrelay: AMQP_PORT: found 'amqps', wanted a port")
    assert result.stderr.count("\n") == 1


def test_port_in_use_stops_the_start_with_one_line(start_relay: StartRelay) -> None:
    relay = start_relay()
    for name, port in (("BEATS_PORT", relay.port), ("METRICS_PORT", relay.metrics_port)):
        free = {"BEATS_PORT": "0", "METRICS_PORT": "0", "METRICS_HOST": "127.0.0.1", "BEATS_HOST": "127.0.0.1"}
        result = run_relay(**PLAIN | free | {name: str(port)})
        assert (result.returncode, result.stderr.count("\n")) == (1, 1)
        assert f"{name} {port}: Address already in use" in result.stderr


def test_invalid_certificates_stop_the_start_with_one_line(tmp_path: Path) -> None:
    file = tmp_path / "no.pem"
    file.write_text("nothing")
    names = ("BEATS_TLS_CERT_FILE", "BEATS_TLS_KEY_FILE", "BEATS_TLS_CA_FILE")
    result = run_relay(**PLAIN | {"BEATS_TLS": "true"} | dict.fromkeys(names, str(file)))
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "BEATS_TLS_CERT_FILE" in result.stderr


def test_check_passes_all_steps(broker: RabbitMQ, queue: Queue, certificates: Certificates) -> None:
    tls = {"AMQP_TLS": "true", "AMQP_PORT": str(broker.tls_port), "AMQP_TLS_CA_FILE": str(certificates.ca)}
    status, lines = run_check(broker, queue, "--route", f"{queue.exchange}/test", **tls)
    assert status == 0
    assert [line.split(":")[1].strip() for line in lines] == [
        "name resolution",
        "TLS",
        "login, virtual host, exchange",
        "a confirmed message",
    ]
    assert all(line.startswith("ok      127.0.0.1: ") for line in lines)
    assert [json.loads(body)["message"] for _, _, body in queue.read()] == ["a test message of beatsrelay --check"]


@pytest.mark.parametrize(
    ("environ", "arguments", "failure"),
    [
        ({"AMQP_HOST": "no.such.host.invalid"}, (), "name resolution: Name or service not known"),
        ({"AMQP_PORT": "1"}, (), "TCP: Connection refused"),
        ({"AMQP_TLS": "true"}, (), "TLS: TLS failed: WRONG_VERSION_NUMBER (is AMQP_PORT a TLS port?)"),
        ({"AMQP_PASSWORD": "wrong"}, (), "the broker refused the login: check AMQP_USER and AMQP_PASSWORD"),
        ({"AMQP_VHOST": "nowhere"}, (), "refused the virtual host (AMQP_VHOST): NOT_ALLOWED - vhost nowhere not"),
        ({"AMQP_EXCHANGE": "\N{SPIRAL NOTE PAD}" * 127}, (), "exchange: found a name of 508 bytes, wanted up to 255"),
        ({"AMQP_EXCHANGE": "nothing"}, (), "NOT_FOUND - no exchange 'nothing' in vhost '/'"),
        ({"AMQP_DEAD_LETTER": "/nothing"}, (), "NOT_FOUND - no queue 'nothing' in vhost '/'"),
        ({}, ("--route", "/nothing"), "a confirmed message: no queue receives messages with this route"),
        ({}, ("--route", "nothing/x"), "a confirmed message: NOT_FOUND - no exchange 'nothing'"),
    ],
)
def test_check_names_the_step_that_failed(
    broker: RabbitMQ, queue: Queue, environ: dict[str, str], arguments: tuple[str, ...], failure: str
) -> None:
    status, lines = run_check(broker, queue, *arguments, **environ)
    assert status == 1
    assert lines[-1].startswith("FAILED  ")
    assert failure in lines[-1]


@pytest.mark.parametrize(("tls", "step"), [("true", "TLS"), ("false", "login, virtual host, exchange")])
def test_check_times_out_if_the_broker_does_not_answer(broker: RabbitMQ, queue: Queue, tls: str, step: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        status, lines = run_check(broker, queue, AMQP_PORT=str(silent.getsockname()[1]), AMQP_TLS=tls)
    assert (status, lines[-1]) == (1, f"FAILED  127.0.0.1: {step}: no answer within 10 s")


def test_check_refuses_an_untrusted_broker(broker: RabbitMQ, queue: Queue, tmp_path: Path) -> None:
    other_authority = Certificates(tmp_path)
    tls = {"AMQP_TLS": "true", "AMQP_PORT": str(broker.tls_port)}
    for trust in ({}, {"AMQP_TLS_CA_FILE": str(other_authority.ca)}):
        status, lines = run_check(broker, queue, **tls, **trust)
        assert status == 1
        assert "TLS: the broker's certificate is not trusted" in lines[-1]


def test_relay_waits_for_a_missing_exchange(start_relay: StartRelay, broker: RabbitMQ, queue: Queue) -> None:
    relay = start_relay(False, AMQP_EXCHANGE="later")
    wait_until(lambda: relay.logged("cannot open a session with the broker"), "the reason is logged")
    assert "no exchange 'later'" in str(relay.logged("cannot open a session with the broker")[0]["event.reason"])
    assert (relay.ask("/ready").status_code, relay.ask("/live").status_code) == (503, 200)
    assert relay.ask("/nothing").status_code == 404
    with queue.channel() as channel:
        channel.exchange_declare("later", "topic", durable=True)
    wait_until(lambda: relay.ask("/ready").status_code == 200, "the relay is ready")
    with queue.channel() as channel:
        channel.exchange_delete("later")


@pytest.mark.parametrize("kind", ["quorum", "classic", "stream"])
def test_exchange_and_queue_are_declared(start_relay: StartRelay, broker: RabbitMQ, queue: Queue, kind: str) -> None:
    name = f"declared-{kind}"
    relay = start_relay(
        AMQP_DECLARE="true",
        AMQP_EXCHANGE=name,
        AMQP_QUEUE=name,
        AMQP_QUEUE_TYPE=kind,
        AMQP_ROUTING_KEY="logs.%{[id]}",
    )
    with BeatsClient(relay.port) as client:
        client.send(make_events(10, "a"))
        client.read_until(10)
    wait_until(lambda: relay.metric("events_confirmed_total") == 10, "all events are confirmed")
    listed = broker.control("list_queues", "name", "type", "durable")
    assert [line.split() for line in listed.splitlines() if line.startswith(name)] == [[name, kind, "true"]]
    with queue.channel() as channel:
        channel.queue_delete(name)
        channel.exchange_delete(name)


def test_undeliverable_events_are_dead_lettered(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    dead = Queue(broker)
    relay = start_relay(AMQP_DEAD_LETTER=f"/{dead.name}", BEATS_MAX_EVENT_BYTES="2000")
    large = b'{"id":"large","message":"' + b"x" * 3000 + b'"}'
    with BeatsClient(relay.port) as client:
        client.send([b'{"id":"good"}', b"not an object", large, b'{"id":"\xff"}'])
        assert client.read_until(4)[-1] == 4
    assert queue.collect() == {"good": 1}
    dead_letters = sorted(dead.read(), key=lambda message: message[2])
    assert [(properties.headers, body) for _, properties, body in dead_letters] == [
        ({"x-relay-reason": "malformed"}, b"not an object"),
        ({"x-relay-reason": "oversized", "x-size": len(large)}, large),
        ({"x-relay-reason": "malformed"}, b'{"id":"\xff"}'),
    ]
    assert relay.metric('events_dead_lettered_total{reason="malformed"}') == 2


def test_malformed_event_is_dropped_without_dead_letters(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay()
    with BeatsClient(relay.port) as client:
        client.send([b"not an object", b'{"id":"good"}'])
        assert client.read_until(2)[-1] == 2
    assert queue.collect() == {"good": 1}
    assert relay.metric('events_dropped_total{reason="malformed"}') == 1


def test_unroutable_events_are_dead_lettered(start_relay: StartRelay, queue: Queue, broker: RabbitMQ) -> None:
    dead = Queue(broker)
    relay = start_relay(AMQP_DEAD_LETTER=f"{dead.exchange}/unroutable", AMQP_UNROUTABLE="dead-letter")
    with queue.channel() as channel:
        channel.queue_unbind(queue.name, queue.exchange, "#")
    with BeatsClient(relay.port) as client:
        client.send(make_events(50, "a"))
        assert client.read_until(50)[-1] == 50
    assert relay.metric("events_returned_total") == 50
    dead_letters = dead.read()
    assert len(dead_letters) == 50
    assert {json.dumps(properties.headers) for _, properties, _ in dead_letters} == {
        json.dumps({"x-relay-reason": "unroutable", "x-exchange": queue.exchange, "x-key": "logs"})
    }


@pytest.fixture
def small_messages(broker: RabbitMQ) -> Iterator[None]:
    """Set the broker's maximum message size to 2,000 bytes."""
    limit = "persistent_term:put(max_message_size, {0}), application:set_env(rabbit, max_message_size, {0})"
    broker.evaluate(limit.format(2000))
    yield
    broker.evaluate(limit.format(134217728))


@pytest.mark.usefixtures("small_messages")
def test_event_above_the_limit_of_the_broker_blocks_no_other(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ
) -> None:
    dead = Queue(broker)
    relay = start_relay(AMQP_DEAD_LETTER=f"/{dead.name}")
    large = b'{"id":"large","message":"' + b"x" * 5000 + b'"}'
    with BeatsClient(relay.port) as client:
        for _ in range(2):
            client.send([b'{"id":"before"}', large, b'{"id":"after"}'])
            assert client.read_until(3)[-1] == 3
    assert {"before", "after"} == set(queue.collect())
    dead_letters = [(properties.headers["x-size"], body) for _, properties, body in dead.read()]
    assert dead_letters == [(len(large), large[:2000])] * 2
    assert relay.metric("broker_connects_total") == 2, "the relay knows the limit from the first large event"


def test_logs_are_json_without_secrets(start_relay: StartRelay, broker: RabbitMQ) -> None:
    relay = start_relay(False, LOG_LEVEL="DEBUG", AMQP_PASSWORD="a-wrong-password")
    wait_until(lambda: relay.logged("cannot open a session with the broker"), "the reason is logged")
    assert_log_events(relay.log.read_text().splitlines())
    assert "a-wrong-password" not in relay.log.read_text()


def list_metrics(relay: RelayProcess) -> set[str]:
    """Return the names of the metrics of a relay."""
    return {line.split()[2] for line in relay.ask("/metrics").text.splitlines() if line.startswith("# TYPE")}


def test_every_metric_of_the_dashboard_exists(start_relay: StartRelay) -> None:
    known = list_metrics(start_relay())
    expressions = [
        target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel.get("targets", [])
    ]
    assert len(expressions) > 10
    used = {name for text in expressions for name in re.findall(r"\b(?:beatsrelay|process)_\w+", text)}
    assert {name.removesuffix("_bucket") for name in used} <= known


def test_second_signal_during_a_shutdown_is_ignored(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay()
    shipper = Shipper(relay.port, make_events(5000, "a"))
    shipper.start()
    relay.wait_for_metric("events_confirmed_total", 500)
    relay.process.send_signal(signal.SIGTERM)
    relay.process.send_signal(signal.SIGINT)
    assert relay.process.wait(180) == 0
    start_relay(BEATS_PORT=str(relay.port))
    shipper.finish()
    assert queue.collect() == {f"a-{i}": 1 for i in range(5000)}


def test_hosts_of_the_broker_are_tried_in_turn(start_relay: StartRelay, broker: RabbitMQ, queue: Queue) -> None:
    relay = start_relay(AMQP_HOST="no.such.host.invalid, 127.0.0.1")
    assert relay.metric("broker_up") == 1


def test_bytes_that_wait_for_the_broker_are_measured(start_relay: StartRelay, broker: RabbitMQ) -> None:
    proxy = TcpProxy(broker.port)
    relay = start_relay(AMQP_PORT=str(proxy.port))
    assert relay.metric("broker_buffered_bytes") == 0
    proxy.reading.clear()
    with BeatsClient(relay.port) as client:
        # The network buffers store about 10 MB of the 36 MB. The rest waits in the relay's buffer.
        client.send(make_events(40, "a", size=900_000))
        relay.wait_for_metric("broker_buffered_bytes", 1_000_000)
        proxy.reading.set()
        assert client.read_until(40)[-1] == 40
    wait_until(lambda: relay.metric("broker_buffered_bytes") == 0, "the buffer is empty")
    proxy.close()


def test_series_of_the_alerts_exist_from_the_start(start_relay: StartRelay) -> None:
    rules = ALERTS.read_text()
    # An alert needs the series before the first event. Prometheus measures no increase in a series that starts with its
    # first event.
    required = set(re.findall(r"(beatsrelay_\w+(?:{[^}]*})?)", rules))
    metrics = start_relay().ask("/metrics").text
    assert len(required) > 5
    assert [series for series in required if f"\n{series}" not in metrics] == []
