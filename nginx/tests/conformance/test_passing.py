"""Tests that nginx redirects, refuses or passes on requests: headers, WebSockets, uploads and limits."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from labtesting.browser import open_browser
from labtesting.edge import Edge
from labtesting.hub_process import wait_until
from websockets.sync.client import connect

from nginx.tests.conftest import RunEdge
from nginx.tests.upstream import Upstream, run_echo

HSTS = "max-age=63072000"


def raw(edge: Edge, request: bytes) -> bytes:
    """Send bytes to nginx over TLS, and return all bytes that nginx sends until it closes the connection."""
    with (
        socket.create_connection(("127.0.0.1", edge.https_port), timeout=180) as plain,
        edge.trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer


def test_http_request_is_redirected_to_https(edge: Edge) -> None:
    answer = httpx.get(f"http://127.0.0.1:{edge.http_port}/hub/login?next=%2Fx", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.headers["Location"]) == (301, "https://localhost/hub/login?next=%2Fx")


def test_unknown_host_name_is_refused(edge: Edge) -> None:
    with socket.create_connection(("127.0.0.1", edge.https_port)) as plain, pytest.raises(ssl.SSLError, match="name"):
        edge.trust.wrap_socket(plain, server_hostname="evil.example")
    assert raw(edge, b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize(("version", "wanted"), [("TLSv1_2", "h2"), ("TLSv1_3", "h2")])
def test_tls_of_both_versions_offers_http_2(edge: Edge, version: str, wanted: str) -> None:
    context = edge.trust
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", edge.https_port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        assert connection.selected_alpn_protocol() == wanted


def test_http_2_carries_requests(edge: Edge) -> None:
    with edge.client(http2=True) as client:
        answer = client.get("/user/vera/lab")
    assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)


@pytest.mark.parametrize("path", ["/hub/home", "/user/vera/lab", "/nginx-error.html", "/user/vera/static/lab/none.js"])
def test_every_answer_has_the_security_headers_once(edge: Edge, upstream: Upstream, path: str) -> None:
    upstream.answers[path] = (200, {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"})
    with edge.client() as client:
        headers = client.get(path).headers
    wanted = {"Strict-Transport-Security": HSTS, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN"}
    assert {name: headers.get_list(name) for name in wanted} == {name: [value] for name, value in wanted.items()}
    assert headers["Server"] == "nginx"


def test_forwarding_headers_of_a_client_are_replaced(edge: Edge, upstream: Upstream) -> None:
    forged = {
        "X-Forwarded-For": "10.9.9.9",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Port": "1",
        "X-Real-IP": "10.9.9.9",
        "X-Scheme": "http",
        "Forwarded": "for=10.9.9.9",
        "Upgrade": "h2c",
        "Connection": "Upgrade, HTTP2-Settings",
    }
    with edge.client() as client:
        client.get("/hub/forged", headers=forged)
    (received,) = [request.headers for request in upstream.asked if request.path == "/hub/forged"]
    assert received == received | {
        "host": f"localhost:{edge.https_port}",
        "connection": "close",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "https",
        "x-forwarded-host": f"localhost:{edge.https_port}",
        "x-real-ip": "127.0.0.1",
        "x-scheme": "https",
    }
    assert {"upgrade", "forwarded", "x-forwarded-port"} & set(received) == set()


def test_a_path_arrives_as_it_was_sent(edge: Edge, upstream: Upstream) -> None:
    path = "/user/vera/files/a%2Fb%20c%3Fd/%C3%A9?x=%26&y"
    assert b" 200 " in raw(edge, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert path in [request.path for request in upstream.asked]


def test_absolute_url_determines_the_forwarded_host(edge: Edge, upstream: Upstream) -> None:
    request = b"GET https://localhost/hub/chosen HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert b" 200 " in raw(edge, request)
    (received,) = [request.headers for request in upstream.asked if request.path == "/hub/chosen"]
    assert (received["host"], received["x-forwarded-host"]) == ("localhost", "localhost")


def test_large_cookies_pass_both_ways(edge: Edge, upstream: Upstream) -> None:
    upstream.answers["/hub/cookies"] = (200, {"Set-Cookie": f"large={'x' * 20_000}"})
    with edge.client() as client:
        answer = client.get("/hub/cookies", headers={"Cookie": f"large={'x' * 20_000}"})
    assert answer.status_code == 200
    assert answer.headers["Set-Cookie"].endswith("x; Secure")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Content-Length: 4\r\nContent-Length: 5",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding : chunked",
    ],
)
def test_request_with_two_lengths_is_refused(edge: Edge, upstream: Upstream, head: bytes) -> None:
    smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = raw(edge, b"POST /hub/two HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n\r\n" + smuggled)
    assert answer.split(b" ")[1] in {b"400", b"501"}
    assert not [request for request in upstream.asked if request.path in {"/smuggled", "/hub/two"}]


def test_x_accel_redirect_of_a_lab_is_ignored(edge: Edge, upstream: Upstream) -> None:
    upstream.answers["/user/vera/steer"] = (200, {"X-Accel-Redirect": "/nginx-error.html"})
    with edge.client() as client:
        assert client.get("/user/vera/steer").content == upstream.body


@pytest.mark.parametrize("path", ["/user/vera/api/kernels/1/channels", "/services/proxied/socket", "/"])
def test_websocket_works_on_every_path(run: RunEdge, tmp_path: Path, path: str) -> None:
    with (
        run_echo() as address,
        run(tmp_path / "nginx", address) as edge,
        connect(f"wss://localhost:{edge.https_port}{path}", ssl=edge.trust) as ws,
    ):
        ws.send("there and back")
        assert ws.recv(timeout=180) == "there and back"


def test_an_upload_arrives_while_it_is_sent(edge: Edge, upstream: Upstream) -> None:
    before = upstream.received

    def pieces() -> Iterator[bytes]:
        yield b"x" * 100_000
        # The client sends the second piece only after the fake server has received the first. If nginx stored the
        # upload until its end, the fake server would receive nothing, and this wait would fail.
        wait_until(lambda: upstream.received - before >= 100_000, "the first piece arrives")
        yield b"x" * 100_000

    with edge.client() as client:
        assert client.put("/user/vera/api/contents/big", content=pieces()).status_code == 200
    assert upstream.received - before == 200_000


def test_too_large_upload_gets_an_error_page(run: RunEdge, upstream: Upstream, tmp_path: Path) -> None:
    with run(tmp_path / "nginx", upstream.address, settings={"NGINX_MAX_BODY": "1m"}) as edge:
        with edge.client() as client:
            answer = client.put("/user/vera/api/contents/big", content=b"x" * 3_000_000)
            assert client.put("/user/vera/api/contents/small", content=b"x" * 900_000).status_code == 200
        with open_browser() as browser:  # the client above uses HTTP/1.1, Chromium uses HTTP/2
            page = browser.new_page(ignore_https_errors=True)
            page.goto(f"{edge.url}/user/vera/lab")
            send = "fetch('api/contents/big', {method: 'PUT', body: 'x'.repeat(3e6)}).then(answer => answer.status)"
            assert page.evaluate(send) == 413
    assert answer.status_code == 413
    assert "You can send at most 1m in one request" in answer.text
    assert "refresh" not in answer.text


@pytest.mark.parametrize("more", [{}, {"Connection": "upgrade", "Upgrade": "websocket"}], ids=["plain", "websocket"])
def test_only_logins_are_rate_limited(run: RunEdge, upstream: Upstream, tmp_path: Path, more: dict[str, str]) -> None:
    with run(tmp_path / "nginx", upstream.address) as edge, edge.client() as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get("/hub/login", headers=more), range(250)))
        others = list(pool.map(lambda _: client.get("/hub/home"), range(250)))
    refused = [answer for answer in answers if answer.status_code == 429]
    # 50 users can log in at the same time. Each login sends three requests.
    assert len(answers) - len(refused) >= 150
    assert refused
    assert "Too many users of your network are logging in at the same time" in refused[0].text
    assert refused[0].headers["Retry-After"] == "5"
    assert {answer.status_code for answer in others} == {200}


def test_slow_request_head_is_disconnected(edge: Edge) -> None:
    with (
        socket.create_connection(("127.0.0.1", edge.https_port), timeout=180) as plain,
        edge.trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        start = time.monotonic()
        assert connection.recv(1) == b""
    assert time.monotonic() - start < 55  # the default of nginx is 60 s, and limits.conf sets 10 s
