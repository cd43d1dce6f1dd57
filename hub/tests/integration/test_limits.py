"""Tests of the maximum size of a request that the hub accepts through the real proxy."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

COOKIES = "; ".join(f"{number:03}={'x' * 4000}" for number in range(18))  # 72 kB of cookies


@pytest.mark.parametrize("path", ["/hub/login", "/hub/home", "/hub/api/"])
def test_cookies_of_72_kb_reach_the_hub(site: Any, path: str) -> None:
    answer = httpx.get(f"{site.hub.url}{path}", headers={"Cookie": COOKIES}, follow_redirects=True)
    assert answer.status_code == 200
    assert answer.headers["X-JupyterHub-Version"]


def test_a_user_with_72_kb_of_cookies_logs_in(site: Any) -> None:
    visitor, _ = site.member("hoarder")
    session = visitor.http.build_request("GET", "/hub/home").headers["Cookie"]
    page = visitor.get("/hub/home", headers={"Cookie": f"{session}; {COOKIES}"}, follow_redirects=False)
    assert page.status_code == 200
    assert "hoarder" in page.text


def test_the_hub_does_not_read_a_large_body(site: Any) -> None:
    # The hub rejects a large body before it checks the token, and then closes the connection. If the proxy is still
    # sending the body, the proxy answers 503.
    for path in ("/hub/login", "/hub/api/users"):
        answer = httpx.post(f"{site.hub.url}{path}", content=b"x" * 2_000_000, timeout=180)
        assert answer.status_code in {400, 503}
    assert httpx.post(f"{site.hub.url}/hub/api/users", content=b"x" * 1_000_000).status_code == 403
