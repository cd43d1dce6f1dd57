"""Tests of nginx's log: each line is JSON with the fields that an administrator needs, and contains no token."""

from __future__ import annotations

from pathlib import Path

import pytest
from labtesting.edge import Edge
from labtesting.hub_process import free_ports, wait_until

from nginx.tests.conftest import RunEdge

SECRET = "not-to-be-seen"


def test_request_is_logged_as_a_json_line(edge: Edge) -> None:
    with edge.client() as client:
        client.get("/hub/of-json", headers={"User-Agent": 'odd "agent"\t\\', "Referer": "https://localhost/hub/home"})
    (line,) = wait_until(
        lambda: [line for line in edge.lines if line.get("url.path") == "/hub/of-json"], "the request is logged"
    )
    assert line == line | {
        "client.address": "127.0.0.1",
        "http.request.method": "GET",
        "url.domain": "localhost",
        "http.version": "HTTP/1.1",
        "tls.version": "TLSv1.3",
        "http.response.status_code": "200",
        "nginx.upstream.status": "200",
        "http.request.referrer": "https://localhost/hub/home",
        "user_agent.original": 'odd "agent"\t\\',
    }
    assert float(line["nginx.upstream.seconds"]) <= line["nginx.seconds"] + 0.01
    assert line["nginx.upstream.address"].startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "path",
    [
        f"/user/vera/lab?token={SECRET}",
        f"/user/vera/lab?reset&token={SECRET}&token={SECRET}",
        f"/user/vera/lab?%74oken={SECRET}",
        f"/hub/oauth_callback?code={SECRET}&state={SECRET}",
        f"/user/vera/lab%3Ftoken={SECRET}",
        f"/user/vera/x?next=%2Fuser%2Fvera%3Ftoken%3D{SECRET}",
    ],
)
def test_no_token_and_no_cookie_is_logged(edge: Edge, path: str) -> None:
    headers = {
        "Cookie": f"jupyterhub-session-id={SECRET}",
        "Authorization": f"token {SECRET}",
        "Referer": f"https://localhost{path}",
    }
    with edge.client() as client:
        client.get(path, headers=headers)
        client.get("/hub/last", headers={"Referer": f"https://localhost/x#access_token={SECRET}"})
    wait_until(lambda: any(line.get("url.path") == "/hub/last" for line in edge.lines), "the last request is logged")
    assert SECRET not in edge.log


def test_error_is_logged_as_json_without_the_token(run: RunEdge, tmp_path: Path) -> None:
    with run(tmp_path / "nginx", f"127.0.0.1:{free_ports(1)[0]}") as edge, edge.client() as client:
        path = f"/hub/x?token={SECRET}"
        client.get(path, headers={"Referer": f"https://localhost/hub/y?token={SECRET}", "Cookie": SECRET})
        (line,) = wait_until(
            lambda: [line for line in edge.lines if line.get("log.level") == "error"], "the error is logged"
        )
        assert "connect() failed" in line["message"]
        assert 'request: "GET /hub/x?[masked]' in line["message"]
        assert SECRET not in edge.log
