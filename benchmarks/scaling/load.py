"""Simulated users who log in and spawn labs concurrently, in the same way on both hubs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import aiohttp

from benchmarks.scaling.hubs import ORGANIZATION, Hub
from benchmarks.scaling.pods import variables
from benchmarks.scaling.rounds import LoadError, show_failure
from benchmarks.spawning.person import PROGRESS, XSRF

LIMIT = aiohttp.ClientTimeout(600)
PAGE = 200  # the maximum number of users in one of JupyterHub's answers
# Interval of a lab's activity reports in seconds, if the hub sets no other interval
REPORT_SECONDS = 300


@dataclass
class Load:
    """The simulated users of one hub: this class sends their requests."""

    hub: Hub
    api: aiohttp.ClientSession

    # --- by login ------------------------------------------------------------------------------------------------

    async def log_in(self, name: str) -> None:
        """Log in as this user, and wait until the user's lab is ready."""
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar, timeout=LIMIT) as session:
            page, url = await (self._by_name if self.hub.github is None else self._by_github)(session, name)
            await self._wait(session, name, page, url)

    async def _by_name(self, session: aiohttp.ClientSession, name: str) -> tuple[str, str]:
        login = f"{self.hub.url}/hub/login"
        async with session.get(login) as response:
            found = XSRF.search(await response.text())
        data = {"username": name, "password": "any", "_xsrf": found[1] if found else ""}
        async with session.post(login, params={"next": "/hub/spawn"}, data=data) as response:
            return await response.text(), str(response.url)

    async def _by_github(self, session: aiohttp.ClientSession, name: str) -> tuple[str, str]:
        async with session.get(f"{self.hub.url}/hub/oauth_login", params={"next": "/hub/spawn"}) as response:
            where = response.url
        async with session.post(where, data={"login": name}) as response:
            return await response.text(), str(response.url)

    async def _wait(self, session: aiohttp.ClientSession, name: str, page: str, url: str) -> None:
        """Send the requests that a browser sends on the progress page, until the lab is ready."""
        while f"/user/{name}/" not in url:
            found = PROGRESS.search(page.replace("&amp;", "&").replace(r"\u0026", "&"))
            if not found:
                if "/spawn-pending/" not in url:
                    raise LoadError(f"{name}: found {url}\n{page[-1000:]}")
                await asyncio.sleep(0.2)  # the page does not show the requested spawn yet, so ask again
                async with session.get(url) as response:
                    page, url = await response.text(), str(response.url)
                continue
            headers = {"Accept": "text/event-stream", "Referer": url}
            async with session.get(self.hub.url + unquote(found[1]), headers=headers) as response:
                await listen(name, response)
            return

    # --- by the REST API ----------------------------------------------------------------------------------------------

    async def call(self, name: str) -> None:
        """Start the lab of a user through the REST API, and wait until the lab is ready."""
        async with self.api.post(f"{self.hub.url}/hub/api/users/{name}/server") as response:
            if response.status not in {201, 202}:
                raise LoadError(f"{name}: {response.status} {await response.text()}")
            if response.status == 201:
                return
        async with self.api.get(f"{self.hub.url}/hub/api/users/{name}/server/progress") as response:
            await listen(name, response)

    async def stop(self, names: Sequence[str]) -> None:
        """Stop the labs of these users, and wait until the labs are stopped."""
        gate = asyncio.Semaphore(10)

        async def one(name: str) -> None:
            url = f"{self.hub.url}/hub/api/users/{name}"
            async with gate:
                while not await self._is_stopped(url):  # noqa: ASYNC110  (the hub notifies no client)
                    await asyncio.sleep(0.2)

        await asyncio.gather(*(one(name) for name in names))

    async def _is_stopped(self, url: str) -> bool:
        """Return whether a lab is stopped. If it is not, request its stop."""
        try:
            async with self.api.get(url) as response:
                servers = (await response.json())["servers"]
            if not servers:
                return True
            if servers[""]["pending"] != "stop":
                async with self.api.delete(f"{url}/server"):
                    pass
        except aiohttp.ClientError as error:
            show_failure(error)
        return False

    async def ready(self) -> int:
        """Return the number of labs that the hub reports as ready."""
        count = offset = 0
        while True:
            parameters: dict[str, str | int] = {"state": "active", "limit": PAGE, "offset": offset}
            async with self.api.get(f"{self.hub.hub_url}/hub/api/users", params=parameters) as response:
                users = await response.json()
            count += sum(bool(one["server"]) for one in users)
            if len(users) < PAGE:
                return count
            offset += PAGE

    async def is_ready(self, name: str) -> bool:
        """Return whether the hub reports the lab of a user as ready."""
        async with self.api.get(f"{self.hub.hub_url}/hub/api/users/{name}") as response:
            return bool((await response.json()).get("server"))

    async def routes(self) -> int:
        """Return the number of labs with a route in the proxy."""
        async with self.api.get(f"{self.hub.proxy_url}/api/routes") as response:
            return sum(path.startswith("/user/") for path in await response.json())

    def join(self, names: Sequence[str]) -> None:
        """Add users to the organization whose members may log in. Stock JupyterHub needs no organization."""
        if self.hub.github:
            world = self.hub.github.world
            organization = world.find_organization(ORGANIZATION)
            assert organization  # noqa: S101
            for name in names:
                organization.members[world.add_account(name).id] = "active"

    async def report(self, pods: Sequence[dict[str, Any]], seconds: float) -> None:
        """Report the activity of labs for some seconds, as real labs do.

        Each lab reports once in an interval, and the reports of all labs are spread evenly over the interval.
        """
        labs = [variables(pod) for pod in pods]
        pause = int(labs[0].get("JUPYTERHUB_ACTIVITY_INTERVAL", REPORT_SECONDS)) / len(labs)
        end = time.monotonic() + seconds
        running: set[asyncio.Task[None]] = set()
        while time.monotonic() < end:
            for lab in labs:
                report = self._report(lab["JUPYTERHUB_USER"], lab["JUPYTERHUB_API_TOKEN"])
                running.add(task := asyncio.create_task(report))
                task.add_done_callback(running.discard)
                await asyncio.sleep(pause)
                if time.monotonic() > end:
                    break
        await asyncio.gather(*running)

    async def _report(self, name: str, token: str) -> None:
        now = datetime.now(UTC).isoformat()
        body = {"last_activity": now, "servers": {"": {"last_activity": now}}}
        url, headers = f"{self.hub.hub_url}/hub/api/users/{name}/activity", {"Authorization": f"token {token}"}
        async with self.api.post(url, json=body, headers=headers) as response:
            if response.status != 200:
                raise LoadError(f"{name}: {response.status} {await response.text()}")


@asynccontextmanager
async def load(hub: Hub) -> AsyncIterator[Load]:
    """Yield the simulated users of a hub. At the end of the block, close their connections."""
    headers = {"Authorization": f"token {hub.token}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, timeout=LIMIT, connector=connector) as api:
        yield Load(hub, api)


async def listen(name: str, response: aiohttp.ClientResponse) -> None:
    """Read the progress events of a spawn until the lab is ready. Raise a LoadError if the spawn fails."""
    async for line in response.content:
        event = json.loads(line.removeprefix(b"data: ")) if line.startswith(b"data: ") else {}
        if event.get("failed"):
            raise LoadError(f"{name}: {event}")
        if event.get("ready"):
            return
    raise LoadError(f"{name}: the progress events ended without a lab (status {response.status})")
