"""Tests of several hubs behind one nginx. Each hub has its own host name."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from labtesting.certificates import Authority
from labtesting.edge import Edge, NginxError
from websockets.sync.client import connect

from nginx.tests.conftest import RunEdge
from nginx.tests.upstream import Upstream, run_echo, run_upstream

OTHER = "other.example.org"


@pytest.fixture(scope="module")
def second() -> Iterator[Upstream]:
    """Run a second fake server, which is the hub of the second host name."""
    with run_upstream() as server:
        server.body = b"the second"
        yield server


@pytest.fixture(scope="module")
def both(
    run: RunEdge, upstream: Upstream, second: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    """Run nginx in front of two fake servers, one for each host name."""
    folder = tmp_path_factory.mktemp("several") / "nginx"
    folder.mkdir()
    authority = Authority(folder)
    authority.write(folder / "tls", "localhost", OTHER)
    settings = {"NGINX_OTHER_HUBS": f"{OTHER}={second.address}"}
    with run(folder, upstream.address, settings=settings, authority=authority) as edge:
        yield edge


def test_each_host_name_leads_to_its_hub(both: Edge, upstream: Upstream, second: Upstream) -> None:
    with both.client() as http:
        first = http.get("/hub/home")
        headers = {"Host": f"{OTHER}:{both.https_port}"}
        other = http.get("/hub/home", headers=headers, extensions={"sni_hostname": OTHER})
    assert (first.content, other.content) == (upstream.body, second.body)
    assert second.asked[-1].headers["host"] == f"{OTHER}:{both.https_port}"


def test_https_redirect_keeps_the_host_name(both: Edge) -> None:
    answer = httpx.get(f"http://127.0.0.1:{both.http_port}/hub", headers={"Host": OTHER})
    assert answer.headers["Location"] == f"https://{OTHER}/hub"


def test_websocket_reaches_the_hub_of_its_host_name(run: RunEdge, upstream: Upstream, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.write(tmp_path / "nginx" / "tls", "localhost", OTHER)
    with (
        run_echo() as address,
        run(
            tmp_path / "nginx",
            upstream.address,
            settings={"NGINX_OTHER_HUBS": f"{OTHER}={address}"},
            authority=authority,
        ) as edge,
        socket.create_connection(("127.0.0.1", edge.https_port)) as plain,
        connect(f"wss://{OTHER}:{edge.https_port}/user/ada/lsp", sock=plain, ssl=edge.trust) as ws,
    ):
        ws.send("hello")
        assert ws.recv() == "hello"


def test_certificate_must_cover_all_host_names(run: RunEdge, tmp_path: Path) -> None:
    with (
        pytest.raises(NginxError, match=r"the certificate is not valid for b\.example\.org"),
        run(tmp_path / "nginx", "127.0.0.1:9", settings={"NGINX_OTHER_HUBS": "b.example.org=127.0.0.1:9"}),
    ):
        pass
