"""Options and fixtures for the hub's unit tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from kubernetes_asyncio.client import CoreV1Api
from labhub.labs import reflector
from labhub.labs.launcher import LabLauncher
from labhub.labs.reflector import EventReflector, PodReflector

from hub.tests.unit.fake_api import FakeApi, run_fake_api


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option `--update-golden` to pytest."""
    parser.addoption("--update-golden", action="store_true", help="write the golden files instead of comparing them")


@dataclass
class Cluster:
    """A fake Kubernetes API, and a client of this API."""

    api: FakeApi
    client: CoreV1Api


@pytest_asyncio.fixture
async def cluster(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    """Run a fake Kubernetes API, and shorten the reflectors' timeouts from seconds to milliseconds."""
    monkeypatch.setattr(reflector, "WATCH_SECONDS", 0.3)
    monkeypatch.setattr(reflector, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(reflector, "RETRY_MIN", 0.01)
    monkeypatch.setattr(reflector, "RETRY_MAX", 0.05)
    async with run_fake_api() as (api, client):
        yield Cluster(api, client)


async def stop(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel asyncio tasks, and wait until they have ended."""
    running = [task for task in tasks if task]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)


@pytest_asyncio.fixture
async def launcher(cluster: Cluster) -> AsyncIterator[LabLauncher]:
    """Create a launcher whose reflectors watch the fake Kubernetes API."""
    pods, events = PodReflector(cluster.client, "labs"), EventReflector(cluster.client, "labs")
    tasks = [pods.start(), events.start()]
    yield LabLauncher(cluster.client, pods, events)
    await stop(*tasks)
