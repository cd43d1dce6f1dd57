"""Fixtures: a real broker for all tests, and a queue and a relay for each test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from labtesting.needs import need_program, skip_or_fail
from labtesting.rabbitmq import INSTALL_HINT, RabbitMQ, RabbitMQError

from logstashrmq.tests.harness import PLAIN, Certificates, Queue, RelayProcess, StartRelay, wait_until
from logstashrmq.tests.refusing_broker import LimitedUser, RefusingPlugin

GOLUMBER = Path(__file__).parents[2] / "testing" / "golumber"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Create a certificate authority, and certificates for the relay and its clients."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[RabbitMQ]:
    """Start the RabbitMQ broker that all tests share."""
    try:
        server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"), certificates.broker_tls)
    except RabbitMQError:
        skip_or_fail("RabbitMQ", INSTALL_HINT)
    with server:
        yield server


@pytest.fixture
def queue(broker: RabbitMQ) -> Queue:
    """Declare a durable classic queue, bound to a separate exchange."""
    return Queue(broker)


def environment(broker: RabbitMQ, queue: Queue) -> dict[str, str]:
    """Return settings for a relay without TLS. The relay publishes to the exchange of this queue."""
    return PLAIN | {
        "BEATS_HOST": "127.0.0.1",
        "BEATS_PORT": "0",
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        "AMQP_PORT": str(broker.port),
        "AMQP_USER": broker.user,
        "AMQP_PASSWORD": broker.password,
        "AMQP_EXCHANGE": queue.exchange,
    }


@contextmanager
def relays(base: dict[str, str], folder: Path) -> Iterator[StartRelay]:
    """Yield a function that starts relays. At the end of the block, kill the relays and print their logs."""
    started: list[RelayProcess] = []

    def start(ready: bool = True, /, **environ: str) -> RelayProcess:
        relay = RelayProcess(base | environ, folder / f"relay-{len(started)}.log")
        started.append(relay)
        if ready:
            wait_until(lambda: relay.ask("/ready").status_code == 200, "the relay is ready")
        return relay

    yield start
    for relay in started:
        if relay.process.poll() is None:
            relay.process.kill()
            relay.process.wait()
        print(relay.log.read_text())  # noqa: T201  (pytest shows it if the test fails)


@pytest.fixture
def start_relay(broker: RabbitMQ, queue: Queue, tmp_path: Path) -> Iterator[StartRelay]:
    """Return a function that starts relays. The relays publish to the queue of the test."""
    with relays(environment(broker, queue), tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_relay_for_module(broker: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartRelay]:
    """Return a function that starts relays for all tests of a module. No test reads the queue to which they publish."""
    with relays(environment(broker, Queue(broker)), tmp_path_factory.mktemp("relay")) as start:
        yield start


@pytest.fixture
def limited_user(broker: RabbitMQ) -> Iterator[LimitedUser]:
    """Create a user of the broker whose permissions a test can limit."""
    user = LimitedUser(broker)
    yield user
    user.delete()


@pytest.fixture
def plugin(broker: RabbitMQ) -> Iterator[RefusingPlugin]:
    """Load a plugin into the broker that refuses the messages that a test chooses."""
    plugin = RefusingPlugin(broker)
    yield plugin
    plugin.unload()


@pytest.fixture(scope="session")
def golumber(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the test client `golumber`, which uses Elastic's own library, and return the path of the program."""
    go = need_program("go", how="apt install golang-go, or https://go.dev/dl/")
    program = tmp_path_factory.mktemp("golumber") / "golumber"
    subprocess.run([go, "build", "-o", program, "."], cwd=GOLUMBER, check=True)
    return program
