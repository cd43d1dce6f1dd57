"""Tests of `LabProxy`, the hub's client of configurable-http-proxy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.proxy import ConfigurableHTTPProxy, Proxy  # type: ignore[import-untyped]
from labhub.infra.proxy import LabProxy

ROUTES: dict[str, Any] = {
    "/user/ada/": {
        "routespec": "/user/ada/",
        "target": "http://10.1.2.3:8888",
        "data": {"user": "ada", "server_name": ""},
    }
}


@pytest.mark.asyncio
async def test_routes_are_checked_when_the_proxy_answers_again(monkeypatch: pytest.MonkeyPatch) -> None:
    requests, checked = [], []

    async def get_all_routes(_proxy: Proxy) -> dict[str, Any]:
        requests.append(True)
        if len(requests) == 1:
            raise TimeoutError("Repeated api_request failed")
        return ROUTES

    async def check_routes(_proxy: Proxy, _users: object, _services: object, routes: dict[str, Any]) -> None:
        checked.append(routes)

    monkeypatch.setattr(ConfigurableHTTPProxy, "get_all_routes", get_all_routes)
    monkeypatch.setattr(Proxy, "check_routes", check_routes)
    app = SimpleNamespace(http_server=object(), labs_recovered=True)
    proxy = LabProxy(app=app, api_url="http://proxy.example:8001")
    await proxy.check_routes({}, {})
    assert checked == []
    assert proxy._retry
    await proxy._retry
    assert checked == [ROUTES]
