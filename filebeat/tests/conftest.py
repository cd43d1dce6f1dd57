"""Fixtures that start a real broker, the real relay and a shipper.

The shipper is the test shipper (`testing/shipper`), or the image that the environment variable SHIPPER_IMAGE names.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from labtesting.needs import need_program, skip_or_fail
from labtesting.rabbitmq import INSTALL_HINT, RabbitMQ, RabbitMQError, free_ports

from filebeat.tests.shipper import SOURCE, Shipper, filebeat_yml, without_cluster
from logstashrmq.tests.conftest import environment, relays
from logstashrmq.tests.harness import Certificates, Queue, RelayProcess


@pytest.fixture(scope="session")
def shipper_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the test shipper, and return the path of its program."""
    go = need_program("go", how="apt install golang-go, or https://go.dev/dl/")
    program = tmp_path_factory.mktemp("shipper") / "filebeat"
    subprocess.run([go, "build", "-o", program, "."], cwd=SOURCE, check=True)
    return program


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return a certificate authority, with one certificate for a server and one for a client."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """Start one RabbitMQ broker, which all tests of the session use."""
    try:
        server = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    except RabbitMQError:
        skip_or_fail("RabbitMQ", INSTALL_HINT)
    with server:
        yield server


@pytest.fixture
def queue(broker: RabbitMQ) -> Queue:
    """Return a new queue of the broker, bound to a new exchange."""
    return Queue(broker)


@pytest.fixture
def relay(broker: RabbitMQ, queue: Queue, certificates: Certificates, tmp_path: Path) -> Iterator[RelayProcess]:
    """Start a relay that accepts only shippers with a certificate."""
    with relays(environment(broker, queue) | certificates.beats_environment, tmp_path) as start:
        yield start()


@pytest.fixture
def shipper(request: pytest.FixtureRequest, relay: RelayProcess, certificates: Certificates, tmp_path: Path) -> Shipper:
    """Return a shipper, not yet started, that sends the log files below its folder `pods` to the relay."""
    image = os.environ.get("SHIPPER_IMAGE")
    program = None if image else request.getfixturevalue("shipper_program")
    tls, pods, etc = tmp_path / "tls", tmp_path / "pods", tmp_path / "etc"
    for folder in (tls, pods, etc):
        folder.mkdir()
    for name, file in zip(("tls.crt", "tls.key", "ca.crt"), (*certificates.client, certificates.ca), strict=True):
        (tls / name).write_bytes(file.read_bytes())
    places = {} if image else {"/var/log/pods": pods, "/run/secrets/filebeat-tls": tls}
    config = etc / "filebeat.yml"
    config.write_text(without_cluster(filebeat_yml(), relay.port, free_ports(1)[0], places))
    return Shipper(tmp_path, config, pods, tls, program, image)
