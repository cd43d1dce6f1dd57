"""Tests of nginx in front of a proxy that has stopped, has a new address or is slow. Users see nginx's error page."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from labtesting.browser import open_browser
from labtesting.edge import Edge
from labtesting.hub_process import free_ports, wait_until
from labtesting.nameserver import run_nameserver

from nginx.tests.conftest import RunEdge
from nginx.tests.upstream import Upstream, run_upstream

NAME = "proxy.jupyterlabdemo.svc.cluster.local"


def test_error_page_reloads_when_the_upstream_answers(run: RunEdge, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with run(tmp_path / "nginx", f"127.0.0.1:{port}") as edge, edge.client() as client:
        answer = client.get("/hub/home")
        assert answer.status_code == 502
        assert "JupyterLab is unavailable" in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        with open_browser() as browser:
            page = browser.new_page(ignore_https_errors=True)
            page.goto(f"{edge.url}/hub/home")
            assert page.get_by_role("heading").inner_text() == "JupyterLab is unavailable"
            with run_upstream(port=port, body=b"<h1>The hub</h1>") as upstream:
                upstream.answers["/hub/home"] = (200, {"Content-Type": "text/html"})
                # The error page reloads itself until the hub answers. The test does not reload the page.
                page.get_by_role("heading", name="The hub").wait_for(timeout=180_000)


def test_error_page_for_a_post_has_retry_after(run: RunEdge, tmp_path: Path) -> None:
    with run(tmp_path / "nginx", f"127.0.0.1:{free_ports(1)[0]}") as edge, edge.client() as client:
        answer = client.post("/hub/login", data={"username": "vera"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (502, "5")
    assert "request " in answer.text


def test_moved_upstream_is_found(run: RunEdge, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    addresses = {NAME: "127.0.0.1"}
    with run_nameserver(addresses) as nameserver, run_upstream(port=port, body=b"the first") as first:
        settings = {"NGINX_RESOLVER": nameserver}
        with run(tmp_path / "nginx", f"{NAME}:{port}", settings=settings) as edge, edge.client() as client:
            assert client.get("/user/vera/lab").content == b"the first"
            with run_upstream("127.0.0.2", port, b"the second"):
                addresses[NAME] = "127.0.0.2"
                wait_until(
                    lambda: client.get("/user/vera/lab").content == b"the second", "nginx uses the second address"
                )
            del first


def test_nginx_starts_before_dns_knows_the_upstream(run: RunEdge, tmp_path: Path) -> None:
    addresses: dict[str, str] = {}
    with run_nameserver(addresses) as nameserver, run_upstream() as upstream:
        port = upstream.address.partition(":")[2]
        settings = {"NGINX_RESOLVER": nameserver}
        with run(tmp_path / "nginx", f"{NAME}:{port}", settings=settings) as edge, edge.client() as client:
            assert client.get("/hub/home").status_code == 502
            addresses[NAME] = "127.0.0.1"
            wait_until(lambda: client.get("/hub/home").status_code == 200, "nginx finds the address")


@contextmanager
def dead_address() -> Iterator[str]:
    """Yield an address `host:port` that does not answer new connections, because the queue of its socket is full."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        queued = [socket.socket() for _ in range(4)]
        for client in queued:
            client.setblocking(False)
            client.connect_ex(address)
        try:
            yield f"127.0.0.1:{address[1]}"
        finally:
            for client in queued:
                client.close()


def test_silent_upstream_times_out_within_seconds(run: RunEdge, tmp_path: Path) -> None:
    with dead_address() as address, run(tmp_path / "nginx", address) as edge, edge.client() as client:
        answer = client.get("/hub/home", timeout=10)
    assert answer.status_code == 504
    assert "JupyterLab did not answer in time" in answer.text


@pytest.mark.parametrize(
    ("path", "status", "ours"),
    [
        ("/hub/home", 503, True),  # the proxy answers 503 if the hub is unavailable
        ("/user/vera/api/x", 503, False),  # the API of a lab answers 503
        ("/hub/oauth_callback", 424, False),  # the hub answers 424 if GitHub does not answer
        ("/hub/spawn", 429, False),  # the hub answers 429 if too many users start a lab
        ("/hub/spawn", 500, False),
        ("/hub/nothing", 404, False),
    ],
)
def test_error_page_replaces_only_a_bare_503_page(
    edge: Edge, upstream: Upstream, path: str, status: int, ours: bool
) -> None:
    upstream.answers[path] = (status, {"Retry-After": "17"})
    with edge.client() as client:
        answer: httpx.Response = client.get(path)
    assert answer.status_code == status
    assert (answer.content != upstream.body) is ours
    assert answer.headers["Retry-After"] == ("5" if ours else "17")
