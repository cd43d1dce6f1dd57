"""What the hub asks of configurable-http-proxy, which runs apart from it."""

from __future__ import annotations

from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy  # type: ignore[import-untyped]


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
