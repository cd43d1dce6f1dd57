"""What the hub asks of configurable-http-proxy, which runs apart from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy  # type: ignore[import-untyped]
from jupyterhub.services.service import Service  # type: ignore[import-untyped]
from jupyterhub.user import UserDict  # type: ignore[import-untyped]


class LabProxy(ConfigurableHTTPProxy):  # type: ignore[misc]  # untyped
    """A proxy whose word on activity does not count.

    It takes each byte for activity, also the pings of a forgotten browser tab's WebSockets: a lab would never be idle
    (jupyterhub 1498). Labs report their own, by a rule that is written down in docs/dev/lab.md.
    """

    async def get_all_routes(self) -> dict[str, Any]:
        """Give the routes without the times."""
        routes: dict[str, Any] = await super().get_all_routes()
        for route in routes.values():
            route["data"].pop("last_activity", None)
        return routes

    async def check_routes(
        self, user_dict: UserDict, service_dict: Mapping[str, Service], routes: dict[str, Any] | None = None
    ) -> None:
        """Put the routes right; those of labs that the hub does not know yet stay until it has taken them up."""
        routes = routes or await self.get_all_routes()
        if not self.app.adopted:
            known = {one.proxy_spec for user in user_dict.values() for one in user.spawners.values()}
            routes = {spec: route for spec, route in routes.items() if "user" not in route["data"] or spec in known}
        await super().check_routes(user_dict, service_dict, routes)
