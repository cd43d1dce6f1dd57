"""Fixtures for the log files of one container, and for the events that arrive in RabbitMQ."""

from __future__ import annotations

import pytest

from filebeat.tests.arrivals import Arrived
from filebeat.tests.shipper import POD, LogFile, Shipper
from logstashrmq.tests.harness import Queue


@pytest.fixture
def arrived(queue: Queue) -> Arrived:
    """Return an object that reads and counts the events in the RabbitMQ queue."""
    return Arrived(queue)


@pytest.fixture
def log(shipper: Shipper) -> LogFile:
    """Return the log of one container. Tests write lines to it, and the shipper reads the lines."""
    return LogFile(shipper.pods / POD / "a-container")
