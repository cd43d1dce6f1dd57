"""Fixtures: the log of a container, and the events that arrive from it."""

from __future__ import annotations

import pytest

from filebeat.tests.arrivals import Arrived
from filebeat.tests.shipper import POD, LogFile, Shipper
from logstashrmq.tests.harness import Queue


@pytest.fixture
def arrived(queue: Queue) -> Arrived:
    """Return the events that arrive in the queue."""
    return Arrived(queue)


@pytest.fixture
def log(shipper: Shipper) -> LogFile:
    """Return the log of a container."""
    return LogFile(shipper.pods / POD / "a-container")
