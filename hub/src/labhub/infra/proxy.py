"""What the hub asks of configurable-http-proxy, which runs apart from it."""

from __future__ import annotations

import asyncio
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

    _later: asyncio.Task[None] | None = None

    async def get_all_routes(self) -> dict[str, Any]:
        """Give the routes without the times."""
        if self.app.http_server is None:
            # JupyterHub asks before it listens, and would end if nobody answered: away for as long as the proxy.
            return {}
        routes: dict[str, Any] = await super().get_all_routes()
        for route in routes.values():
            route["data"].pop("last_activity", None)
        return routes

    async def check_routes(
        self, user_dict: UserDict, service_dict: Mapping[str, Service], routes: dict[str, Any] | None = None
    ) -> None:
        """Put the routes right; those of labs that the hub does not know yet stay until it has taken them up.

        Without an answer within half a minute that is tried again, apart: the hub starts meanwhile.
        """
        try:
            routes = routes or await self.get_all_routes()
            if not self.app.adopted:
                known = {one.proxy_spec for user in user_dict.values() for one in user.spawners.values()}
                routes = {spec: one for spec, one in routes.items() if "user" not in one["data"] or spec in known}
            await super().check_routes(user_dict, service_dict, routes)
        except TimeoutError:
            self.log.warning("the proxy does not answer at %s; routes are put right as soon as it does", self.api_url)
            self._later = asyncio.create_task(self.check_routes(user_dict, service_dict))
