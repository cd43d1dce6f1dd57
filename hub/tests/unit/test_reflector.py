"""The watch, against an API that behaves badly: a server of our own over real HTTP. The real one: tests/cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from kubernetes_asyncio.client import Configuration
from kubespawner import clients  # type: ignore[import-untyped]
from labhub.labs import reflector as watch
from labhub.web.spawn import DEAD_SECONDS, LiveHandler
from labhub.labs.reflector import EventWatch, PodWatch

Behaviour = Callable[["Api", web.StreamResponse], Awaitable[None]]


def pod(name: str, version: int, size: int = 0) -> dict[str, Any]:
    """Give a pod."""
    annotations = {"text": "x" * size}
    metadata: dict[str, Any] = {"name": name, "namespace": "labs", "resourceVersion": str(version)}
    metadata["annotations"] = annotations
    metadata["managedFields"] = [{"manager": "kubelet"}]
    return {"metadata": metadata, "status": {"phase": "Running"}}


def event(name: str, uid: str, second: int) -> dict[str, Any]:
    """Give what is reported of a pod."""
    metadata = {"name": name, "namespace": "labs", "resourceVersion": "5"}
    return {"metadata": metadata, "involvedObject": {"uid": uid}, "lastTimestamp": f"2026-11-23T00:00:0{second}Z"}


class Api:
    """As much of Kubernetes' API as a watch asks for.

    Attributes
    ----------
    pods
        What a list gives.
    lists, watches
        How often it was asked.
    behave
        What a watch does after its headers.
    """

    def __init__(self) -> None:
        self.pods: list[dict[str, Any]] = [pod("a", 1)]
        self.lists = self.watches = 0
        self.down = False
        self.behave: Behaviour = wait

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a list or a watch."""
        if self.down:
            return web.json_response({"message": "etcd is away", "code": 500}, status=500)
        if request.query.get("watch") != "True" and request.query.get("watch") != "true":
            self.lists += 1
            start, limit = int(request.query.get("continue", 0)), int(request.query["limit"])
            rest = {"continue": str(start + limit)} if start + limit < len(self.pods) else {}
            page = self.pods[start : start + limit]
            return web.json_response({"metadata": {"resourceVersion": "5"} | rest, "items": page})
        self.watches += 1
        response = web.StreamResponse()
        await response.prepare(request)
        await self.behave(self, response)
        return response


async def wait(api: Api, response: web.StreamResponse) -> None:
    """Say nothing for ever."""
    await asyncio.Event().wait()


def saying(*events: dict[str, Any] | bytes) -> Behaviour:
    """Say these, then nothing; and the next time nothing."""

    async def behave(api: Api, response: web.StreamResponse) -> None:
        api.behave = wait
        for event in events:
            await response.write(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")
        if events and events[-1] == b"":
            return
        await asyncio.Event().wait()

    return behave


@pytest_asyncio.fixture
async def api() -> AsyncIterator[Api]:
    """Run the API."""
    served = Api()
    application = web.Application()
    for kind in ("pods", "events"):
        application.router.add_get(f"/api/v1/namespaces/labs/{kind}", served.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    Configuration.set_default(configuration)
    yield served
    await runner.cleanup()


@pytest.fixture
def quickly(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have watches of the API take a moment for what takes half a minute."""
    clients._client_cache.clear()
    monkeypatch.setattr(watch, "WATCH_SECONDS", 0.3)
    monkeypatch.setattr(watch, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(watch, "RETRY_FIRST", 0.01)
    monkeypatch.setattr(watch, "RETRY_LAST", 0.05)


async def end(watching: watch.Watch) -> None:
    """End a watch."""
    if watching.watch_task is not None:
        watching.watch_task.cancel()
        await asyncio.wait([watching.watch_task])


@pytest_asyncio.fixture
async def pods(quickly: None) -> AsyncIterator[PodWatch]:
    """Watch the pods."""
    watching = PodWatch(namespace="labs", labels={"app": "lab"})
    yield watching
    await end(watching)


@pytest_asyncio.fixture
async def events(quickly: None) -> AsyncIterator[EventWatch]:
    """Watch what is reported."""
    watching = EventWatch(namespace="labs", fields={"involvedObject.kind": "Pod"})
    yield watching
    await end(watching)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  (it is asked of a server, which tells nobody)
            await asyncio.sleep(0.01)


@pytest.mark.asyncio
async def test_a_list_of_many_comes_in_pages_without_what_nobody_reads(api: Api, pods: PodWatch) -> None:
    api.pods = [pod(f"lab-{number}", number) for number in range(2 * watch.PAGE + 1)]
    pods.begin()
    await pods.loaded()
    assert api.lists == 3
    assert len(pods.pods) == len(api.pods)
    assert not any("managedFields" in one["metadata"] for one in pods.pods.values())


@pytest.mark.asyncio
async def test_what_comes_and_goes_is_known_at_once(api: Api, pods: PodWatch) -> None:
    changes = [{"type": "ADDED", "object": pod("b", 6)}, {"type": "DELETED", "object": pod("a", 7)}]
    ended: list[Any] = []
    pods.on_end = ended.append
    api.behave = saying(*changes)
    pods.begin()
    await pods.loaded()
    await until(lambda: set(pods.pods) == {"labs/b"})
    assert set(pods.gone) == {"labs/a"}
    assert [pod["metadata"]["name"] for pod in ended] == ["a"]
    assert api.lists == 1


@pytest.mark.asyncio
async def test_whoever_waits_is_told_and_nobody_else(api: Api, pods: PodWatch) -> None:
    pods.begin()
    await pods.loaded()
    waiting, other = (asyncio.create_task(pods.changed(f"labs/{name}", 60)) for name in "cb")
    await asyncio.sleep(0)
    api.behave = saying({"type": "ADDED", "object": pod("c", 6)})
    async with asyncio.timeout(5):
        await waiting
    assert not other.done()
    other.cancel()


@pytest.mark.asyncio
async def test_what_is_reported_of_a_pod_is_found_by_its_uid_until_it_is_forgotten(
    api: Api, events: EventWatch
) -> None:
    first, second, other = (event(*which) for which in (("1", "u", 2), ("2", "u", 1), ("3", "v", 1)))
    api.pods = [first, other]
    events.begin()
    await events.loaded()
    assert events.about("u") == [first]
    assert events.about("nobody") == []
    api.behave = saying({"type": "ADDED", "object": second}, {"type": "DELETED", "object": other})
    await until(lambda: not events.about("v"))
    assert events.about("u") == [second, first]


@pytest.mark.asyncio
async def test_an_api_that_is_away_at_first_is_waited_for(api: Api, pods: PodWatch) -> None:
    api.down = True
    pods.begin()
    await until(lambda: pods.idle < 0.05 and pods.age > 0.2)
    assert not pods.first_load_future.done()
    api.down = False
    await pods.loaded()
    assert set(pods.pods) == {"labs/a"}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(saying(b"}{\n"), id="garbage"),
        pytest.param(saying({"type": "ERROR", "object": {"code": 410, "message": "too old"}}), id="too old"),
        pytest.param(
            saying({"type": "ERROR", "object": {"code": 500, "message": "etcd"}}), id="an error in the stream"
        ),
        pytest.param(saying(b"{", b""), id="cut in the middle"),
        pytest.param(saying({"type": "ADDED", "object": {}}), id="not a pod"),
        pytest.param(wait, id="silence"),
    ],
)
async def test_a_watch_that_breaks_is_taken_up_again(api: Api, pods: PodWatch, behaviour: Behaviour) -> None:
    api.behave = behaviour
    pods.begin()
    await pods.loaded()
    await until(lambda: api.watches >= 1)
    api.pods = [pod("z", 9)]
    api.behave = wait
    await until(lambda: set(pods.pods) == {"labs/z"})
    assert pods.watch_task is not None
    assert not pods.watch_task.done()


@pytest.mark.asyncio
async def test_a_long_outage_does_not_end_it(api: Api, pods: PodWatch) -> None:
    pods.begin()
    await pods.loaded()
    api.down = True
    await until(lambda: pods.age > 2)  # KubeSpawner's has given up after eight attempts, these are forty
    assert pods.idle < 1
    api.down, api.pods = False, [pod("z", 9)]
    await until(lambda: set(pods.pods) == {"labs/z"})


@pytest.mark.asyncio
async def test_a_pod_larger_than_any_line_limit_is_taken(api: Api, pods: PodWatch) -> None:
    api.behave = saying({"type": "ADDED", "object": pod("big", 6, size=400_000)})
    pods.begin()
    await until(lambda: "labs/big" in pods.pods)


@pytest.mark.asyncio
async def test_a_watch_that_ends_in_time_goes_on_from_where_it_was(api: Api, pods: PodWatch) -> None:
    api.behave = saying({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "8"}}}, b"")
    pods.begin()
    await until(lambda: api.watches >= 2)
    assert api.lists == 1


class Asked:
    """What the liveness probe is told of a hub with these watches."""

    def __init__(self, pods: PodWatch, events: EventWatch) -> None:
        self.app = SimpleNamespace(pods=pods, events=events)
        self.status, self.text = 200, ""
        handler: Any = self
        LiveHandler.get(handler)

    def set_status(self, status: int) -> None:
        self.status = status

    def finish(self, text: str) -> None:
        self.text = text


@pytest.mark.asyncio
async def test_the_hub_is_alive_while_its_watches_try_whatever_they_find(
    api: Api, pods: PodWatch, events: EventWatch
) -> None:
    api.down = True
    for one in (pods, events):
        one.begin()
        one.seen_at = one.tried_at = one.tried_at - 2 * DEAD_SECONDS
    assert Asked(pods, events).status == 503
    await until(lambda: max(pods.idle, events.idle) < DEAD_SECONDS)
    assert min(pods.age, events.age) > DEAD_SECONDS
    assert (Asked(pods, events).status, Asked(pods, events).text) == (200, "alive\n")


@pytest.mark.asyncio
async def test_a_watch_that_does_not_try_any_more_is_the_end_of_the_hub(
    api: Api, pods: PodWatch, events: EventWatch
) -> None:
    for one in (pods, events):
        one.begin()
        await one.loaded()
    assert Asked(pods, events).status == 200
    await end(events)
    events.tried_at -= DEAD_SECONDS + 1
    told = Asked(pods, events)
    assert told.status == 503
    assert told.text.startswith("the watch of events has not tried for 12")
