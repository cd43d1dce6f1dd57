"""Tests of the server for metrics and probes that the components share."""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Iterator

import httpx
import pytest
from labtesting.hub_process import wait_until
from labtesting.logevents import assert_log_events
from prometheus_client import CollectorRegistry, Gauge

from shared import probe_server
from shared.json_logs import ServiceFormatter
from shared.logging_server import LoggingHTTPServer


class Probes:
    """Probes for the server. A test controls their results and durations."""

    def __init__(self) -> None:
        self.ready = True
        self.requested, self.released = threading.Event(), threading.Event()

    def is_ready(self) -> bool:
        """Return the result that the test has set, at once."""
        return self.ready

    def wait(self) -> bool:
        """Wait until the test releases the probe, and return True."""
        self.requested.set()
        return self.released.wait(180)

    def fail(self) -> bool:
        """Raise an error, as a probe with a bug does."""
        raise RuntimeError("a broken probe")


@pytest.fixture
def probes() -> Probes:
    return Probes()


@pytest.fixture
def server(probes: Probes) -> Iterator[LoggingHTTPServer]:
    """Start a server on a free port."""
    registry = CollectorRegistry()
    Gauge("labs", "Labs", registry=registry).set(3)
    paths = {"/ready": probes.is_ready, "/slow": probes.wait, "/broken": probes.fail}
    with probe_server.serve("127.0.0.1", 0, registry, paths) as started:
        yield started
        started.shutdown()


def get(server: LoggingHTTPServer, path: str) -> httpx.Response:
    """Request a path of the server."""
    return httpx.get(f"http://127.0.0.1:{server.server_port}{path}", trust_env=False)


def test_metrics_are_in_the_format_of_prometheus(server: LoggingHTTPServer) -> None:
    response = get(server, "/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert "\nlabs 3.0\n" in response.text


@pytest.mark.parametrize(
    ("path", "ready", "status", "text"),
    [
        ("/ready", True, 200, "yes\n"),
        ("/ready", False, 503, "no\n"),
        ("/ready?verbose", True, 200, "yes\n"),
        ("/other", True, 404, "found '/other', wanted one of /metrics, /ready, /slow, /broken\n"),
    ],
    ids=["ready", "not ready", "query", "unknown path"],
)
def test_a_probe_answers(
    path: str, ready: bool, status: int, text: str, server: LoggingHTTPServer, probes: Probes
) -> None:
    probes.ready = ready
    response = get(server, path)
    assert (response.status_code, response.text) == (status, text)
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_other_requests_are_answered_during_a_slow_one(server: LoggingHTTPServer, probes: Probes) -> None:
    slow = threading.Thread(target=get, args=(server, "/slow"))
    slow.start()
    assert probes.requested.wait(180)
    assert get(server, "/ready").status_code == 200
    probes.released.set()
    slow.join(180)
    assert not slow.is_alive()


def test_a_port_in_use_is_an_error(server: LoggingHTTPServer) -> None:
    with pytest.raises(OSError, match="Address already in use"):
        probe_server.serve("127.0.0.1", server.server_port, CollectorRegistry(), {})


def test_disconnected_client_is_logged_in_one_line(
    server: LoggingHTTPServer, probes: Probes, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as client:
        client.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        assert probes.requested.wait(180)
        # With this option, the connection is reset when the socket is closed.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    probes.released.set()
    wait_until(lambda: bool(caplog.records), "the server logs the request")
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    line = ServiceFormatter("hub").format(record)
    [event] = assert_log_events([line])
    assert "a request failed: " in event["message"]
    assert event["client.address"] == "127.0.0.1"
    assert "error.stack_trace" not in event


def test_a_broken_probe_is_logged_with_its_traceback(
    server: LoggingHTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        get(server, "/broken")
    wait_until(lambda: bool(caplog.records), "the server logs the request")
    [record] = caplog.records
    [event] = assert_log_events([ServiceFormatter("hub").format(record)])
    assert event["log.level"] == "error"
    assert "RuntimeError: a broken probe" in event["error.stack_trace"]
    assert get(server, "/ready").status_code == 200


def test_a_client_without_a_request_is_disconnected(
    server: LoggingHTTPServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(probe_server.ProbeHandler, "timeout", 0.1)
    with socket.create_connection(("127.0.0.1", server.server_port), 180) as client:
        assert client.recv(100) == b""
    assert caplog.records == []
