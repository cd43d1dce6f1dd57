"""How the relay starts, what it says of itself, and what becomes of what cannot be delivered."""

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

DASHBOARD = Path(__file__).parents[2] / "grafana" / "dashboard.json"
ALERTS = Path(__file__).parents[3] / "docs/admin/alerts.rules.yaml"


def command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the relay's command, where it is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "beatsrelay", *arguments],
        env={"PATH": os.environ["PATH"]} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def check(broker: RabbitMQ, queue: Queue, *arguments: str, **environ: str) -> tuple[int, list[str]]:
    """Run `--check`; give its exit status and its lines."""
    done = command("--check", *arguments, **environment(broker, queue) | environ)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def test_a_wrong_setting_ends_the_start_with_one_line() -> None:
    done = command(**PLAIN | {"AMQP_PORT": "amqps"})
    assert done.returncode == 1
    assert done.stderr.startswith("beatsrelay: AMQP_PORT: found 'amqps', wanted a port")
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_ends_the_start_with_one_line(start_relay: StartRelay) -> None:
    relay = start_relay()
    for name, port in (("BEATS_PORT", relay.port), ("METRICS_PORT", relay.metrics_port)):
        free = {"BEATS_PORT": "0", "METRICS_PORT": "0", "METRICS_HOST": "127.0.0.1", "BEATS_HOST": "127.0.0.1"}
        done = command(**PLAIN | free | {name: str(port)})
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert f"{name} {port}: Address already in use" in done.stderr


def test_certificates_that_are_none_end_the_start_with_one_line(tmp_path: Path) -> None:
    file = tmp_path / "no.pem"
    file.write_text("nothing")
    names = ("BEATS_TLS_CERT_FILE", "BEATS_TLS_KEY_FILE", "BEATS_TLS_CA_FILE")
    done = command(**PLAIN | {"BEATS_TLS": "true"} | dict.fromkeys(names, str(file)))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "BEATS_TLS_CERT_FILE" in done.stderr


def test_the_check_goes_all_the_way(broker: RabbitMQ, queue: Queue, certificates: Certificates) -> None:
    tls = {"AMQP_TLS": "true", "AMQP_PORT": str(broker.tls_port), "AMQP_TLS_CA_FILE": str(certificates.ca)}
    status, lines = check(broker, queue, "--route", f"{queue.exchange}/test", **tls)
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
    ("environ", "arguments", "said"),
    [
        ({"AMQP_HOST": "no.such.host.invalid"}, (), "name resolution: Name or service not known"),
        ({"AMQP_PORT": "1"}, (), "TCP: Connection refused"),
        ({"AMQP_TLS": "true"}, (), "TLS: TLS failed: WRONG_VERSION_NUMBER (is it a TLS port?)"),
        ({"AMQP_PASSWORD": "wrong"}, (), "the login was refused: AMQP_USER and AMQP_PASSWORD are not"),
        ({"AMQP_VHOST": "nowhere"}, (), "the virtual host was refused (AMQP_VHOST): NOT_ALLOWED - vhost nowhere not"),
        ({"AMQP_EXCHANGE": "\N{SPIRAL NOTE PAD}" * 127}, (), "exchange: found a name of 508 bytes, wanted up to 255"),
        ({"AMQP_EXCHANGE": "nothing"}, (), "NOT_FOUND - no exchange 'nothing' in vhost '/'"),
        ({"AMQP_DEAD_LETTER": "/nothing"}, (), "NOT_FOUND - no queue 'nothing' in vhost '/'"),
        ({}, ("--route", "/nothing"), "a confirmed message: no queue takes what goes there"),
        ({}, ("--route", "nothing/x"), "a confirmed message: NOT_FOUND - no exchange 'nothing'"),
    ],
)
def test_the_check_names_the_step_that_fails(
    broker: RabbitMQ, queue: Queue, environ: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    status, lines = check(broker, queue, *arguments, **environ)
    assert status == 1
    assert lines[-1].startswith("FAILED  ")
    assert said in lines[-1]


@pytest.mark.parametrize(("tls", "step"), [("true", "TLS"), ("false", "login, virtual host, exchange")])
def test_the_check_gives_up_on_a_broker_that_says_nothing(broker: RabbitMQ, queue: Queue, tls: str, step: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        status, lines = check(broker, queue, AMQP_PORT=str(silent.getsockname()[1]), AMQP_TLS=tls)
    assert (status, lines[-1]) == (1, f"FAILED  127.0.0.1: {step}: no answer within 10 s")


def test_the_check_refuses_a_broker_that_nobody_vouches_for(broker: RabbitMQ, queue: Queue, tmp_path: Path) -> None:
    stranger = Certificates(tmp_path)
    tls = {"AMQP_TLS": "true", "AMQP_PORT": str(broker.tls_port)}
    for trust in ({}, {"AMQP_TLS_CA_FILE": str(stranger.ca)}):
        status, lines = check(broker, queue, **tls, **trust)
        assert status == 1
        assert "TLS: its certificate is not trusted" in lines[-1]


def test_it_waits_for_an_exchange_and_says_so(start_relay: StartRelay, broker: RabbitMQ, queue: Queue) -> None:
    relay = start_relay(False, AMQP_EXCHANGE="later")
    wait_until(lambda: relay.logged("no session with the broker"), "it says so")
    assert "no exchange 'later'" in str(relay.logged("no session with the broker")[0]["event.reason"])
    assert (relay.ask("/ready").status_code, relay.ask("/live").status_code) == (503, 200)
    assert relay.ask("/nothing").status_code == 404
    with queue.channel() as channel:
        channel.exchange_declare("later", "topic", durable=True)
    wait_until(lambda: relay.ask("/ready").status_code == 200, "it is ready")
    with queue.channel() as channel:
        channel.exchange_delete("later")


@pytest.mark.parametrize("kind", ["quorum", "classic", "stream"])
def test_it_declares_what_it_is_asked_to(start_relay: StartRelay, broker: RabbitMQ, queue: Queue, kind: str) -> None:
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
    wait_until(lambda: relay.metric("events_confirmed_total") == 10, "all are confirmed")
    listed = broker.control("list_queues", "name", "type", "durable")
    assert [line.split() for line in listed.splitlines() if line.startswith(name)] == [[name, kind, "true"]]
    with queue.channel() as channel:
        channel.queue_delete(name)
        channel.exchange_delete(name)


def test_what_is_no_event_goes_to_the_dead_letters_and_is_acknowledged(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ
) -> None:
    dead = Queue(broker)
    relay = start_relay(AMQP_DEAD_LETTER=f"/{dead.name}", BEATS_MAX_EVENT_BYTES="2000")
    large = b'{"id":"large","message":"' + b"x" * 3000 + b'"}'
    with BeatsClient(relay.port) as client:
        client.send([b'{"id":"good"}', b"not an object", large, b'{"id":"\xff"}'])
        assert client.read_until(4)[-1] == 4
    assert queue.collect() == {"good": 1}
    assert [(told.headers, body) for _, told, body in sorted(dead.read(), key=lambda taken: taken[2])] == [
        ({"x-relay-reason": "malformed"}, b"not an object"),
        ({"x-relay-reason": "oversized", "x-size": len(large)}, large),
        ({"x-relay-reason": "malformed"}, b'{"id":"\xff"}'),
    ]
    assert relay.metric('events_dead_lettered_total{reason="malformed"}') == 2


def test_without_dead_letters_what_is_no_event_is_dropped_and_counted(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay()
    with BeatsClient(relay.port) as client:
        client.send([b"not an object", b'{"id":"good"}'])
        assert client.read_until(2)[-1] == 2
    assert queue.collect() == {"good": 1}
    assert relay.metric('events_dropped_total{reason="malformed"}') == 1


def test_what_no_queue_takes_goes_to_the_dead_letters_if_that_is_wanted(
    start_relay: StartRelay, queue: Queue, broker: RabbitMQ
) -> None:
    dead = Queue(broker)
    relay = start_relay(AMQP_DEAD_LETTER=f"{dead.exchange}/unroutable", AMQP_UNROUTABLE="dead-letter")
    with queue.channel() as channel:
        channel.queue_unbind(queue.name, queue.exchange, "#")
    with BeatsClient(relay.port) as client:
        client.send(make_events(50, "a"))
        assert client.read_until(50)[-1] == 50
    assert relay.metric("events_returned_total") == 50
    taken = dead.read()
    assert len(taken) == 50
    assert {json.dumps(told.headers) for _, told, _ in taken} == {
        json.dumps({"x-relay-reason": "unroutable", "x-exchange": queue.exchange, "x-key": "logs"})
    }


@pytest.fixture
def small_messages(broker: RabbitMQ) -> Iterator[None]:
    """Have the broker take messages of up to 2,000 bytes only."""
    broker.control("eval", "persistent_term:put(max_message_size, 2000).")
    broker.control("eval", "application:set_env(rabbit, max_message_size, 2000).")
    yield
    broker.control("eval", "persistent_term:put(max_message_size, 134217728).")
    broker.control("eval", "application:set_env(rabbit, max_message_size, 134217728).")


@pytest.mark.usefixtures("small_messages")
def test_an_event_that_the_broker_finds_too_large_stops_no_other(
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
    assert [(told.headers["x-size"], body) for _, told, body in dead.read()] == [(len(large), large[:2000])] * 2
    assert relay.metric("broker_connects_total") == 2, "the second time it was known"


def test_logs_are_json_and_hold_no_secret(start_relay: StartRelay, broker: RabbitMQ) -> None:
    relay = start_relay(False, LOG_LEVEL="DEBUG", AMQP_PASSWORD="a-wrong-password")
    wait_until(lambda: relay.logged("no session with the broker"), "it says so")
    assert_log_events(relay.log.read_text().splitlines())
    assert "a-wrong-password" not in relay.log.read_text()


def metrics_of(relay: RelayProcess) -> set[str]:
    """List the names of its metrics."""
    return {line.split()[2] for line in relay.ask("/metrics").text.splitlines() if line.startswith("# TYPE")}


def test_the_dashboard_shows_metrics_that_there_are(start_relay: StartRelay) -> None:
    known = metrics_of(start_relay())
    expressions = [
        target["expr"] for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel.get("targets", [])
    ]
    assert len(expressions) > 10
    used = {name for text in expressions for name in re.findall(r"\b(?:beatsrelay|process)_\w+", text)}
    assert {name.removesuffix("_bucket") for name in used} <= known


def test_a_second_signal_while_it_leaves_does_no_harm(start_relay: StartRelay, queue: Queue) -> None:
    relay = start_relay()
    shipper = Shipper(relay.port, make_events(5000, "a"))
    shipper.start()
    relay.wait_for_metric("events_confirmed_total", 500)
    relay.process.send_signal(signal.SIGTERM)
    relay.process.send_signal(signal.SIGINT)
    assert relay.process.wait(30) == 0
    start_relay(BEATS_PORT=str(relay.port))
    shipper.finish()
    assert queue.collect() == {f"a-{i}": 1 for i in range(5000)}


def test_several_brokers_are_tried_in_turn(start_relay: StartRelay, broker: RabbitMQ, queue: Queue) -> None:
    relay = start_relay(AMQP_HOST="no.such.host.invalid, 127.0.0.1")
    assert relay.metric("broker_up") == 1


def test_what_alerts_count_is_there_before_it_happens(start_relay: StartRelay) -> None:
    rules = ALERTS.read_text()
    # Of a series that begins with its first event Prometheus sees no increase.
    wanted = set(re.findall(r"(beatsrelay_\w+(?:{[^}]*})?)", rules))
    shown = start_relay().ask("/metrics").text
    assert len(wanted) > 5
    assert [series for series in wanted if f"\n{series}" not in shown] == []
