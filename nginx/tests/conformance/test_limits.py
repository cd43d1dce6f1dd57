"""Tests of nginx's size limits, with the real proxy: allowed requests reach the hub, larger ones get an error page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from labtesting.browser import open_browser
from labtesting.edge import Edge
from labtesting.proxy_process import run_proxy

from nginx.tests.conftest import RunEdge
from nginx.tests.upstream import Upstream
from tools.parts import PROXY, prepare

UPGRADE = {"Connection": "upgrade", "Upgrade": "websocket"}
TOO_MANY_COOKIES = "Your browser sends too many cookies"


@dataclass(frozen=True)
class Chain:
    """nginx in front of the real proxy, which sends all requests to a fake hub."""

    edge: Edge
    hub: Upstream

    def received(self, path: str) -> dict[str, str]:
        """Return the headers of the only request for a path that the hub has received."""
        (headers,) = [request.headers for request in self.hub.asked if request.path == path]
        return headers


@pytest.fixture(scope="module")
def chain(run: RunEdge, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Run nginx in front of the real proxy, which sends all requests to the fake hub `upstream`."""
    with (
        run_proxy(prepare(PROXY) / PROXY.name, upstream.address) as proxy,
        run(tmp_path_factory.mktemp("chain") / "nginx", proxy.address) as edge,
    ):
        yield Chain(edge, upstream)


def cookies(count: int, length: int = 4000) -> str:
    """Return the value of a Cookie header with `count` cookies. Each cookie has `length` bytes."""
    return "; ".join(f"{number:03}=".ljust(length, "x") for number in range(count))


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("path", ["/hub/cookies", "/user/vera/lab", "/user/vera/api/cookies"])
def test_cookies_of_31_kb_arrive(chain: Chain, path: str, http2: bool) -> None:
    sent = cookies(8, 3900)
    chain.hub.asked.clear()
    with chain.edge.client(http2=http2) as client:
        assert client.get(path, headers={"Cookie": sent}).status_code == 200
    assert chain.received(path)["cookie"] == sent


def test_headers_of_60_kb_arrive(chain: Chain) -> None:
    sent = {"cookie": cookies(7), "x-large": "y" * 31_000}
    with chain.edge.client() as client:
        assert client.get("/hub/headers", headers=sent).status_code == 200
    assert chain.received("/hub/headers").items() >= sent.items()


def test_an_answer_with_20_kb_of_headers_arrives(chain: Chain) -> None:
    chain.hub.answers["/user/vera/large"] = (200, {"X-Large": "z" * 20_000})
    with chain.edge.client() as client:
        answer = client.get("/user/vera/large")
    assert (answer.status_code, len(answer.headers["X-Large"])) == (200, 20_000)


@pytest.mark.parametrize("path", ["/hub/home", "/hub/login", "/user/vera/lab", "/user/vera/api/contents"])
@pytest.mark.parametrize("more", [{}, UPGRADE], ids=["plain", "websocket"])
def test_larger_cookies_get_an_error_page(chain: Chain, path: str, more: dict[str, str]) -> None:
    with chain.edge.client() as client:
        answer = client.get(path, headers={"Cookie": cookies(9)} | more)
    assert answer.status_code == 431
    assert TOO_MANY_COOKIES in answer.text
    assert "refresh" not in answer.text
    assert "Retry-After" not in answer.headers


def test_user_clears_the_cookies_and_continues(chain: Chain) -> None:
    # Over HTTP/2, the browser sends each of these cookies in a separate header of less than 32 kB. nginx must still
    # refuse the request, because all cookies together have more than 32 kB.
    jar = [{"name": f"c{number}", "value": "x" * 4000, "url": chain.edge.url} for number in range(9)]
    with open_browser() as browser:
        page = browser.new_page(ignore_https_errors=True)
        page.context.add_cookies(jar)  # type: ignore[arg-type]  # playwright's own TypedDict
        answer = page.goto(f"{chain.edge.url}/user/vera/lab")
        assert answer
        assert answer.status == 431
        assert page.get_by_role("heading").inner_text() == TOO_MANY_COOKIES
        page.context.clear_cookies()
        page.get_by_role("link", name="Reload now").click()
        page.get_by_text("from").wait_for()


def test_too_long_address_gets_an_error_page(chain: Chain) -> None:
    with chain.edge.client() as client:
        answer = client.get(f"/user/vera/lab?x={'y' * 33_000}")
    assert answer.status_code == 414
    assert "The address of this page is too long" in answer.text


def test_body_above_1_mb_does_not_reach_the_hub(chain: Chain) -> None:
    with chain.edge.client() as client:
        refused = client.post("/hub/api/users", content=b"x" * 1_100_000)
        assert client.post("/hub/api/users", content=b"x" * 1_000_000).status_code == 200
        assert client.put("/user/vera/api/contents/a", content=b"x" * 1_100_000).status_code == 200
    assert refused.status_code == 413
    assert "You can send at most 1m in one request" in refused.text


def test_error_of_a_lab_passes(chain: Chain) -> None:
    chain.hub.answers["/user/vera/api/large"] = (413, {})
    with httpx.Client(base_url=chain.edge.url, verify=chain.edge.trust) as client:
        answer = client.get("/user/vera/api/large")
    assert (answer.status_code, answer.content) == (413, chain.hub.body)
