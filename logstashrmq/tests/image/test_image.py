"""Tests of the image: user, start, shutdown, and events that arrive in the RabbitMQ of Debian stable."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pika
import pytest
from labtesting.beats import Shipper, make_events
from labtesting.container import Container, engine, run_container

from logstashrmq.tests.harness import PLAIN, Queue, wait_until
from logstashrmq.tests.refusing_broker import LimitedUser

BROKER = Path(__file__).parents[3] / "testing" / "rabbitmq"
# Container options that match the Pod Security level `restricted`
POD: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "mem_limit": "512m",
}


@dataclass
class BrokerContainer:
    """A RabbitMQ broker in a container."""

    container: Container
    network: str
    port: int
    host: str = "127.0.0.1"
    user: str = "relay"
    password: str = "relay-password"

    @property
    def version(self) -> str:
        """The version that the broker reports to rabbitmqctl."""
        login = pika.PlainCredentials(self.user, self.password)
        parameters = pika.ConnectionParameters("127.0.0.1", self.port, credentials=login)
        with pika.BlockingConnection(parameters) as connection:
            return str((connection._impl.server_properties or {})["version"])

    def evaluate(self, expression: str) -> str:
        """Evaluate an Erlang expression in the broker, and return the result."""
        status, output = self.container.execute("rabbitmqctl", "--quiet", "eval", f"{expression}.")
        assert status == 0, output
        return output

    def answers(self) -> bool:
        """Check whether the broker accepts a login."""
        try:
            return bool(self.version)
        except (pika.exceptions.AMQPError, OSError):
            return False


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest) -> str:
    """Return the name of the image under test."""
    name: str = request.config.getoption("--image")
    return name


@pytest.fixture(scope="module")
def broker() -> Iterator[BrokerContainer]:
    """Start RabbitMQ from Debian stable's package in a container."""
    built, _ = engine().images.build(path=str(BROKER), tag="jupyterlabdemo-test-rabbitmq", rm=True)
    # The relay finds the broker by DNS name, because a container's address can change at a restart. Only user-defined
    # networks have DNS names.
    network = engine().networks.create(f"beatsrelay-{uuid.uuid4().hex[:8]}")
    # Limit the file descriptors, because Erlang allocates memory for each possible descriptor.
    ulimits = [{"Name": "nofile", "Soft": 8192, "Hard": 8192}]
    try:
        options = {"name": f"{network.name}-broker", "network": network.name, "ulimits": ulimits}
        with run_container(str(built.id), ports=[5672], **options) as container:
            broker = BrokerContainer(container, str(network.name), container.port(5672))
            wait_until(broker.answers, "RabbitMQ answers", 60)
            yield broker
    finally:
        network.remove()


@contextmanager
def relay_to(image: str, broker: BrokerContainer, queue: Queue, **environ: str) -> Iterator[tuple[Container, int]]:
    """Run the image with the options of its manifests. Yield the container, and the port for Beats."""
    settings = PLAIN | {
        "AMQP_HOST": str(broker.container.docker.name),
        "AMQP_PORT": "5672",
        "AMQP_USER": broker.user,
        "AMQP_PASSWORD": broker.password,
        "AMQP_EXCHANGE": queue.exchange,
        **environ,
    }
    with run_container(image, environment=settings, network=broker.network, ports=[5044, 9400], **POD) as container:
        container.wait_for_page(f"http://127.0.0.1:{container.port(9400)}/ready")
        yield container, container.port(5044)


@pytest.mark.parametrize("kind", ["quorum", "classic", "stream"])
def test_each_event_is_in_a_queue_of_rabbitmq_4_once(image: str, broker: BrokerContainer, kind: str) -> None:
    assert broker.version.startswith("4.")
    queue = Queue(broker, kind)
    with relay_to(image, broker, queue) as (_, port):
        shipper = Shipper(port, make_events(5000, kind))
        shipper.start()
        shipper.finish()
        assert queue.collect() == {f"{kind}-{i}": 1 for i in range(5000)}


def test_no_event_is_lost_when_rabbitmq_4_is_killed(image: str, broker: BrokerContainer) -> None:
    queue = Queue(broker, "quorum")
    # RabbitMQ writes the name of a new queue to the disk after half a second (DETS table of ra). If RabbitMQ is killed
    # earlier, the queue loses its messages and accepts no new messages.
    time.sleep(2)
    with relay_to(image, broker, queue) as (_, port):
        shipper = Shipper(port, make_events(30_000, "a"))
        shipper.start()
        wait_until(lambda: shipper.acknowledged > 3000, "events are shipped")
        broker.container.docker.kill()
        wait_until(lambda: not broker.answers(), "the broker does not answer")
        broker.container.docker.start()
        broker.port = broker.container.port(5672)
        wait_until(broker.answers, "the broker answers again", 60)
        shipper.finish(60)
        assert shipper.reconnects == 0
        assert set(queue.collect()) == {f"a-{i}" for i in range(30_000)}


def test_routing_key_refused_by_rabbitmq_4_stops_no_other_event(image: str, broker: BrokerContainer) -> None:
    queue, dead = Queue(broker), Queue(broker)
    user = LimitedUser(broker)
    user.allow_keys(queue, "^logs[.]a-[0-8]")
    settings = {"AMQP_ROUTING_KEY": "logs.%{[id]}", "AMQP_DEAD_LETTER": f"/{dead.name}"}
    with relay_to(image, broker, queue, **settings, **user.settings) as (_, port):
        shipper = Shipper(port, make_events(100, "a"))
        shipper.start()
        shipper.finish()
    refused = {f"a-{i}" for i in range(100) if str(i).startswith("9")}
    assert set(queue.collect()) == {f"a-{i}" for i in range(100)} - refused
    dead_letters = [properties.headers for _, properties, _ in dead.read()]
    assert {headers["x-key"] for headers in dead_letters} == {f"logs.{event}" for event in refused}
    text = (
        f"ACCESS_REFUSED - write access to topic '{{}}' in exchange '{queue.exchange}' in vhost '/' refused for user "
    )
    assert {headers["x-reply-text"] for headers in dead_letters} == {
        f"{text.format(f'logs.{event}')}'{user.name}'" for event in refused
    }


def test_image_runs_as_a_plain_user_and_stops_on_sigterm(image: str, broker: BrokerContainer) -> None:
    with relay_to(image, broker, Queue(broker)) as (container, _):
        table = container.docker.top(ps_args="-eo pid,uid,args")
        assert [row[1] for row in table["Processes"]] == ["10001"], "one process runs, and not as root"
        container.docker.kill("SIGTERM")
        assert container.docker.wait(timeout=180)["StatusCode"] == 0


def test_missing_settings_stop_the_start_with_one_line(image: str) -> None:
    with run_container(image, **POD) as container:
        assert container.docker.wait(timeout=180)["StatusCode"] == 1
        assert re.fullmatch(r"beatsrelay: AMQP_HOST: missing, wanted [^\n]+\n", container.log())


def test_check_runs_in_the_image(image: str, broker: BrokerContainer) -> None:
    queue = Queue(broker)
    with relay_to(image, broker, queue) as (container, _):
        command = ["/opt/relay/bin/python", "-m", "beatsrelay", "--check", "--route", f"/{queue.name}"]
        status, output = container.execute(*command)
        assert (status, output.count("ok      ")) == (0, 4), output


def test_image_has_no_installer_and_no_compiler(image: str) -> None:
    with run_container(image, "60", entrypoint="/bin/sleep") as container:
        for program in ("pip", "pip3", "gcc", "curl"):
            assert container.execute("/bin/sh", "-c", f"command -v {program} || ls /opt/relay/bin/{program}")[0] != 0
