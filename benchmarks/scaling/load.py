"""People who log in and spawn, many at once, and who looks on: the same for both hubs."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import unquote

import aiohttp
import httpx
from kubernetes_asyncio import client, config

from benchmarks.scaling.hollow import ANSWER, PORT
from benchmarks.scaling.hubs import ORGANIZATION, Hub
from benchmarks.spawning.person import PROGRESS, XSRF

LIMIT = aiohttp.ClientTimeout(600)
PAGE = 200  # what JupyterHub gives at most
# Seconds between two reports of a lab's activity, if its hub does not tell it another number
REPORT_SECONDS = 300


class LoadError(Exception):
    """No lab came, or it is not there any more; the message says what came."""


@dataclass(frozen=True)
class Round:
    """What was seen of labs that were asked for at once.

    Attributes
    ----------
    seconds
        Until each was there.
    cpu
        Seconds of the hub's processor for each.
    """

    seconds: list[float]
    cpu: float


async def together(tasks: Sequence[Callable[[], Awaitable[None]]], hub: Hub | None = None) -> Round:
    """Do all at once; measure each, and what the hub spends."""
    before = hub.cpu() if hub else 0.0
    start = time.monotonic()

    async def one(task: Callable[[], Awaitable[None]]) -> float:
        await task()
        return time.monotonic() - start

    seconds = sorted(await asyncio.gather(*(one(task) for task in tasks)))
    return Round(seconds, ((hub.cpu() if hub else 0.0) - before) / len(tasks))


@dataclass
class Load:
    """Who asks a hub for labs."""

    hub: Hub
    api: aiohttp.ClientSession

    # --- by logging in ------------------------------------------------------------------------------------------------

    async def log_in(self, name: str) -> None:
        """Log in, and wait for the lab that comes of it."""
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
        """Listen, as the page that waits does."""
        while f"/user/{name}/" not in url:
            found = PROGRESS.search(page.replace("&amp;", "&").replace(r"\u0026", "&"))
            if not found:
                if "/spawn-pending/" not in url:
                    raise LoadError(f"{name}: found {url}\n{page[-1000:]}")
                await asyncio.sleep(0.2)  # it says that no lab starts, though one was asked for
                async with session.get(url) as response:
                    page, url = await response.text(), str(response.url)
                continue
            headers = {"Accept": "text/event-stream", "Referer": url}
            async with session.get(self.hub.url + unquote(found[1]), headers=headers) as response:
                await listen(name, response)
            return

    # --- by the REST API ----------------------------------------------------------------------------------------------

    async def call(self, name: str) -> None:
        """Ask for somebody's lab, and wait for it."""
        async with self.api.post(f"{self.hub.url}/hub/api/users/{name}/server") as response:
            if response.status not in {201, 202}:
                raise LoadError(f"{name}: {response.status} {await response.text()}")
            if response.status == 201:
                return
        async with self.api.get(f"{self.hub.url}/hub/api/users/{name}/server/progress") as response:
            await listen(name, response)

    async def stop(self, names: Sequence[str]) -> None:
        """Stop labs, and wait until they are gone."""
        gate = asyncio.Semaphore(10)

        async def one(name: str) -> None:
            url = f"{self.hub.url}/hub/api/users/{name}"
            async with gate:
                async with self.api.delete(f"{url}/server"):
                    pass
                while True:
                    async with self.api.get(url) as response:
                        if not (await response.json())["servers"]:
                            return
                    await asyncio.sleep(0.2)

        await asyncio.gather(*(one(name) for name in names))

    async def ready(self) -> int:
        """Count the labs that the hub says are ready."""
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
        """Tell whether the hub says of somebody's lab that it is ready."""
        async with self.api.get(f"{self.hub.hub_url}/hub/api/users/{name}") as response:
            return bool((await response.json()).get("server"))

    async def routes(self) -> int:
        """Count the labs that the proxy knows."""
        async with self.api.get(f"{self.hub.proxy_url}/api/routes") as response:
            return sum(path.startswith("/user/") for path in await response.json())

    def join(self, names: Sequence[str]) -> None:
        """Make people members of the organization that may come in."""
        if self.hub.github:
            world = self.hub.github.world
            organization = world.find_organization(ORGANIZATION)
            assert organization  # noqa: S101
            for name in names:
                organization.members[world.add_account(name).id] = "active"

    async def report(self, pods: Sequence[dict[str, Any]], seconds: float) -> None:
        """Tell of the labs' activity as they do, spread over their time, for so long."""
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
    """Give who asks a hub for labs."""
    headers = {"Authorization": f"token {hub.token}"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=headers, timeout=LIMIT, connector=connector) as api:
        yield Load(hub, api)


async def listen(name: str, response: aiohttp.ClientResponse) -> None:
    """Read what a hub tells of a spawn until the lab is there."""
    async for line in response.content:
        event = json.loads(line.removeprefix(b"data: ")) if line.startswith(b"data: ") else {}
        if event.get("failed"):
            raise LoadError(f"{name}: {event}")
        if event.get("ready"):
            return
    raise LoadError(f"{name}: the progress ended without a lab ({response.status})")


# --- the floor: the same pods, straight through the API ---------------------------------------------------------------


@asynccontextmanager
async def kubernetes() -> AsyncIterator[Any]:
    """Give Kubernetes' API."""
    await config.load_kube_config()
    settings = client.Configuration.get_default_copy()
    settings.connection_pool_maxsize = 1000
    async with client.ApiClient(settings) as found:
        yield client.CoreV1Api(found)


async def labs(core: Any, namespace: str) -> list[dict[str, Any]]:
    """Give all labs' pods."""
    response = await core.list_namespaced_pod(namespace, _preload_content=False)
    found: list[dict[str, Any]] = (await response.json())["items"]
    return found


def variables(pod: dict[str, Any]) -> dict[str, str]:
    """Give the environment of a lab."""
    return {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}


async def bare(core: Any, template: dict[str, Any], count: int) -> Round:
    """Make so many pods like this one at once; measure until each answers, and remove them."""
    names = [f"bare-{number}" for number in range(count)]
    there = {name: asyncio.Event() for name in names}
    namespace: str = template["metadata"]["namespace"]
    # Not its labels: a hub would take them for labs of its own that nobody has.
    metadata = {"annotations": template["metadata"].get("annotations", {})}
    spec = {key: value for key, value in template["spec"].items() if key not in {"nodeName", "tolerations"}}
    addresses: dict[str, str] = {}
    listed = await core.list_namespaced_pod(namespace, limit=1, _preload_content=False)
    version: str = (await listed.json())["metadata"]["resourceVersion"]

    async def watch() -> None:
        nonlocal version
        # Again and again: of who reads too slowly the API server ends the watch.
        while True:
            response = await core.list_namespaced_pod(
                namespace, watch=True, resource_version=version, _preload_content=False, _request_timeout=300
            )
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    version = take(json.loads(line)["object"])

    def take(pod: dict[str, Any]) -> str:
        name, status = pod["metadata"]["name"], pod.get("status", {})
        if name in there and status.get("phase") == "Running" and status.get("podIP"):
            addresses[name] = status["podIP"]
            there[name].set()
        return str(pod["metadata"]["resourceVersion"])

    async def one(name: str) -> None:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"name": name}, "spec": spec}
        response = await core.create_namespaced_pod(namespace, pod, _preload_content=False)
        if response.status != 201:
            raise LoadError(await response.text())
        response.release()
        await asyncio.wait_for(there[name].wait(), 300)
        _, writer = await asyncio.open_connection(addresses[name], PORT)
        writer.close()

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        await asyncio.sleep(0.5)
        found = await together([partial(one, name) for name in names])
        watching.cancel()
    for name in names:
        await core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
    return found


# --- who looks on -----------------------------------------------------------------------------------------------------


@dataclass
class Onlooker:
    """Asks for a page again and again.

    Attributes
    ----------
    worst
        Seconds that the slowest answer took.
    failed
        How many were not what they should be.
    """

    worst: float = 0.0
    asked: int = 0
    failed: list[str] = field(default_factory=list)


@contextmanager
def looking(
    urls: Sequence[str], good: Callable[[httpx.Response], bool], token: str = "", every: float = 0.1
) -> Iterator[Onlooker]:
    """Ask for pages in turn, until the end of the block."""
    seen, done = Onlooker(), threading.Event()

    def look() -> None:
        headers = {"Authorization": f"token {token}"} if token else {}
        with httpx.Client(timeout=60, headers=headers) as http:
            while not done.wait(every):
                url = urls[seen.asked % len(urls)]
                start = time.monotonic()
                try:
                    response = http.get(url)
                    if not good(response):
                        seen.failed.append(f"{response.status_code} {url}")
                except httpx.HTTPError as error:
                    seen.failed.append(f"{error!r} {url}")
                seen.worst = max(seen.worst, time.monotonic() - start)
                seen.asked += 1

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@contextmanager
def looking_at_health(hub: Hub, every: float = 0.1) -> Iterator[Onlooker]:
    """Ask for the hub's health and metrics."""
    urls = [f"{hub.hub_url}/hub/health"] * 9 + [f"{hub.hub_url}/hub/metrics"]
    with looking(urls, lambda response: response.status_code == 200, hub.token, every) as seen:
        yield seen


@contextmanager
def looking_at_labs(hub: Hub, names: Sequence[str]) -> Iterator[Onlooker]:
    """Ask for labs."""
    urls = [f"{hub.url}/user/{name}/api" for name in names]
    with looking(urls, lambda response: response.content == ANSWER) as seen:
        yield seen
