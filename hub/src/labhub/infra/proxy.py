"""The hub's client of configurable-http-proxy, which runs in a pod of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy  # type: ignore[import-untyped]
from jupyterhub.services.service import Service  # type: ignore[import-untyped]
from jupyterhub.user import UserDict  # type: ignore[import-untyped]


class LabProxy(ConfigurableHTTPProxy):  # type: ignore[misc]  # untyped
    """Client that ignores the proxy's activity times, and that allows the hub to start while the proxy is unavailable.

    The proxy counts each byte as activity, even the WebSocket pings of a forgotten browser tab. With the proxy's times,
    a lab with such a tab would never be idle (https://github.com/jupyterhub/jupyterhub/issues/1498). Labs report their
    own activity: docs/dev/lab.md.
    """

    _retry: asyncio.Task[None] | None = None

    async def get_all_routes(self) -> dict[str, Any]:
        """Return the proxy's routes without the times of their last activity."""
        if self.app.http_server is None:
            # JupyterHub calls this method before it listens for requests, and would exit if the proxy did not answer.
            # So do not send a request yet.
            return {}
        routes: dict[str, Any] = await super().get_all_routes()
        for route in routes.values():
            route["data"].pop("last_activity", None)
        return routes

    async def check_routes(
        self, user_dict: UserDict, service_dict: Mapping[str, Service], routes: dict[str, Any] | None = None
    ) -> None:
        """Correct the proxy's routes. Until the hub has recovered lost labs, the routes of unknown labs stay.

        If the proxy does not answer within half a minute, a background task repeats the check, so that the hub can
        continue its start.
        """
        try:
            routes = routes or await self.get_all_routes()
            if not self.app.labs_recovered:
                known = {spawner.proxy_spec for user in user_dict.values() for spawner in user.spawners.values()}
                routes = {spec: route for spec, route in routes.items() if "user" not in route["data"] or spec in known}
            await super().check_routes(user_dict, service_dict, routes)
        except TimeoutError:
            self.log.warning("the proxy does not answer at %s; the hub retries", self.api_url)
            self._retry = asyncio.create_task(self.check_routes(user_dict, service_dict))
