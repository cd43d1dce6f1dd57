"""Tests of the error pages that users see instead of a lab's pages while the lab or the hub is unavailable.

nginx runs in front of the real proxy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from labtesting.browser import open_browser
from labtesting.edge import Edge
from labtesting.hub_process import free_ports
from labtesting.proxy_process import TOKEN, run_proxy

from nginx.tests.conftest import RunEdge
from nginx.tests.upstream import run_upstream
from tools.parts import PROXY, prepare

PLAIN = "Service Unavailable"
OURS = "JupyterLab is unavailable"
HUBS = b"<h1>Your lab is not running</h1>"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@dataclass(frozen=True)
class Site:
    """nginx in front of the real proxy. No hub runs until a test starts a fake hub.

    Attributes
    ----------
    edge
        The running nginx.
    hub_port
        The port of this machine to which the proxy sends requests for the hub.
    routes
        The URL of the proxy's API that adds and removes routes.
    """

    edge: Edge
    hub_port: int
    routes: str


@pytest.fixture(scope="module")
def site(run: RunEdge, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run nginx in front of the real proxy, without a hub."""
    (hub,) = free_ports(1)
    with (
        run_proxy(prepare(PROXY) / PROXY.name, f"127.0.0.1:{hub}") as proxy,
        run(tmp_path_factory.mktemp("away") / "nginx", proxy.address) as edge,
    ):
        yield Site(edge, hub, proxy.routes)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["", "/", "/lab", "/lab/tree/a b.ipynb", "/tree", "/notebooks/a.ipynb", "/doc/tree/a"])
def test_lab_page_without_a_hub_shows_an_explanation(site: Site, path: str, method: str) -> None:
    with site.edge.client(headers=BROWSER) as client:
        answer = client.request(method, f"/user/vera{path}?token=x")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert (OURS in answer.text) is (method == "GET")


@pytest.mark.parametrize(
    ("method", "path", "accept"),
    [
        ("GET", "/user/vera/api/contents", BROWSER["Accept"]),
        ("GET", "/user/vera/files/a.html", BROWSER["Accept"]),
        ("GET", "/user/vera/labs", BROWSER["Accept"]),
        ("GET", "/user/vera/lab/api/workspaces/a", "*/*"),
        ("GET", "/user/vera/lab", "*/*"),
        ("POST", "/user/vera/lab", BROWSER["Accept"]),
    ],
)
def test_other_request_gets_the_answer_of_the_proxy(site: Site, method: str, path: str, accept: str) -> None:
    with site.edge.client(headers={"Accept": accept}) as client:
        answer = client.request(method, path)
    assert (answer.status_code, answer.text) == (503, PLAIN)


def test_websocket_gets_the_answer_of_the_proxy(site: Site) -> None:
    upgrade = {"Connection": "upgrade", "Upgrade": "websocket"}
    with site.edge.client(headers=BROWSER | upgrade) as client:
        answer = client.get("/user/vera/lab")
    assert answer.status_code == 503
    assert OURS not in answer.text


def test_running_hub_explains_an_unavailable_lab(site: Site) -> None:
    route = {"target": f"http://127.0.0.1:{free_ports(1)[0]}"}
    http = httpx.Client(headers={"Authorization": f"token {TOKEN}"})
    assert http.post(f"{site.routes}/user/ada", json=route).status_code == 201
    with site.edge.client(headers=BROWSER) as client:
        assert OURS in client.get("/user/ada/lab").text
        with run_upstream(port=site.hub_port, body=HUBS) as hub:
            # With this header, the proxy closes its connection to this fake hub. Otherwise the proxy could send a
            # request of a later test over the connection, although the fake hub has stopped.
            hub.answers["/hub/error/503"] = (200, {"Connection": "close"})
            answer = client.get("/user/ada/lab")
            assert (answer.status_code, answer.content) == (503, HUBS)
            assert hub.asked[-1].path == "/hub/error/503"
            assert client.post("/user/ada/lab").content == HUBS


def test_page_reloads_when_the_hub_answers_again(site: Site) -> None:
    with open_browser() as browser:
        page = browser.new_page(ignore_https_errors=True)
        page.goto(f"{site.edge.url}/user/vera/lab")
        assert page.get_by_role("heading").inner_text() == OURS
        with run_upstream(port=site.hub_port, body=b"<h1>The hub</h1>") as hub:
            hub.answers["/user/vera/lab"] = (200, {"Content-Type": "text/html"})
            page.get_by_role("heading", name="The hub").wait_for(timeout=180_000)
