"""A copy of the pods (or events) of the labs' namespace that keeps itself up to date, whatever happens to the API.

KubeSpawner's own reflector ends for ever when the API was away for half a minute (kubespawner 209, 938), lists
everything every ten seconds, and makes an object of each event with a client class that nobody reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from kubernetes_asyncio.client import ApiException
from kubespawner.reflector import ResourceReflector  # type: ignore[import-untyped]
from kubespawner.spawner import EventReflector, PodReflector  # type: ignore[import-untyped]

from labhub.labs.pod_status import has_ended

# Seconds after which the API ends a watch, and it is started again from where it was: costs one request, and a
# connection that something between has forgotten is noticed.
WATCH_SECONDS = 30
# Seconds without a sign after that: the connection is dead.
SILENCE_SECONDS = 10
# Seconds for a page of a list of everything, and how many are on one: a list of thousands is megabytes of JSON, and
# nobody else is answered while it is read.
LIST_SECONDS = 15
PAGE = 100
# Seconds between attempts while the API does not answer.
RETRY_FIRST, RETRY_LAST = 0.2, 5.0
OK, GONE = 200, 410


class Watch(ResourceReflector):  # type: ignore[misc]  # untyped
    """A reflector that does not give up, and tells how old its knowledge is.

    Attributes
    ----------
    resources
        What is there, by `<namespace>/<name>`.
    seen_at
        When the API last confirmed that this is all; in seconds of `time.monotonic`.
    tried_at
        When an attempt last came to an end, a good one or not. A watch that is alive tries at least every
        `WATCH_SECONDS + SILENCE_SECONDS`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seen_at = self.tried_at = time.monotonic()
        self._changed: dict[str, asyncio.Event] = {}

    @property
    def age(self) -> float:
        """Seconds since the API last confirmed what is known."""
        return time.monotonic() - self.seen_at

    @property
    def idle(self) -> float:
        """Seconds since an attempt last came to an end."""
        return time.monotonic() - self.tried_at

    def begin(self) -> None:
        """Watch from now on, as soon as the API answers; KubeSpawner's `start` gives up if it does not at once."""
        self.watch_task = asyncio.create_task(self._watch_and_update())

    async def loaded(self) -> None:
        """Wait until the API has answered once."""
        await asyncio.shield(self.first_load_future)

    async def changed(self, key: str, seconds: float) -> bool:
        """Wait until this one is different, or for so long; say which. Of what happens to others nobody is woken."""
        changed = self._changed.setdefault(key, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            # Not `wait_for`: until Python 3.12 it may swallow a cancellation.
            async with asyncio.timeout(seconds):
                return await changed.wait()
        return False

    def _confirm(self) -> None:
        self.seen_at = self.tried_at = time.monotonic()

    def tell(self, key: str) -> None:
        """Wake who waits for this one."""
        if changed := self._changed.pop(key, None):
            changed.set()

    async def _list(self) -> str:
        """Learn everything anew; give the version of it."""
        resources: dict[str, dict[str, Any]] = {}
        rest: dict[str, str] = {}
        while True:
            response = await self._ask(limit=PAGE, _request_timeout=LIST_SECONDS, **rest)
            found = await response.json()
            resources |= {_key(one): _trim(one) for one in found["items"]}
            if not found["metadata"].get("continue"):
                break
            rest = {"_continue": found["metadata"]["continue"]}
        self.resources = resources
        self._confirm()
        for key in list(self._changed):
            self.tell(key)
        if not self.first_load_future.done():
            self.first_load_future.set_result(None)
        return str(found["metadata"]["resourceVersion"])

    async def _ask(self, **arguments: Any) -> Any:
        """Ask the API; what it says is read by whoever calls, which is cheaper than the client's own objects."""
        response = await getattr(self.api, self.list_method_name)(
            namespace=self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            _preload_content=False,
            **arguments,
        )
        if response.status != OK:
            response.release()
            raise ApiException(status=response.status, reason=response.reason)
        return response

    async def _watch_and_update(self) -> None:
        """Watch until cancelled."""
        delay = RETRY_FIRST
        version: str | None = None
        while True:
            try:
                version = version or await self._list()
                async for event in self._events(version):
                    version = self._take(event)
                self._confirm()
                delay = RETRY_FIRST
            except ApiException as error:
                version = None
                if error.status != GONE:  # what was known is too old to go on from: nothing is wrong
                    delay = await self._wait(delay, error)
            # Whatever it is, it must not end the watch: `asyncio` and `aiohttp` raise a dozen kinds.
            except Exception as error:
                version = None
                delay = await self._wait(delay, error)

    async def _wait(self, delay: float, error: Exception) -> float:
        self.tried_at = time.monotonic()
        self.log.warning("the watch of %s was lost, and tries again: %s", self.kind, say(error))
        await asyncio.sleep(delay * random.uniform(0.5, 1))  # noqa: S311  (not a secret)
        return min(delay * 2, RETRY_LAST)

    def _take(self, event: dict[str, Any]) -> str:
        """Bring what is known up to date; give the version it now has."""
        kind, found = event["type"], event["object"]
        if kind == "ERROR":
            raise ApiException(status=found.get("code"), reason=found.get("message"))
        self._confirm()
        if kind != "BOOKMARK":
            key = _key(found)
            if kind == "DELETED":
                self.resources.pop(key, None)
            else:
                self.resources[key] = _trim(found)
            self.tell(key)
        return str(found["metadata"]["resourceVersion"])

    async def _events(self, version: str) -> AsyncIterator[dict[str, Any]]:
        response = await self._ask(
            resource_version=version,
            watch=True,
            allow_watch_bookmarks=True,
            timeout_seconds=WATCH_SECONDS,
            _request_timeout=WATCH_SECONDS + SILENCE_SECONDS,
        )
        try:
            # Lines by hand: aiohttp's own `readline` refuses those beyond 128 kB.
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)
        finally:
            response.release()


def say(error: BaseException) -> str:
    """Say what went wrong with the API on one line."""
    told = f"{error.status} {error.reason}" if isinstance(error, ApiException) else str(error)
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def _trim(found: dict[str, Any]) -> dict[str, Any]:
    """Leave out what nobody reads, a third of it: who has changed which field."""
    found["metadata"].pop("managedFields", None)
    return found


def _key(found: dict[str, Any]) -> str:
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"


class PodWatch(Watch, PodReflector):  # type: ignore[misc]  # untyped
    """The pods of all labs.

    Attributes
    ----------
    gone
        Pods that have been deleted, as they were last, until one of the same name is there: why they went stands there.
    on_end
        Is told of a pod that has ended or gone.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gone: dict[str, dict[str, Any]] = {}
        self.on_end: Callable[[dict[str, Any]], None] = lambda _pod: None

    def _take(self, event: dict[str, Any]) -> str:
        version = super()._take(event)
        if event["type"] != "BOOKMARK":
            key = _key(event["object"])
            if event["type"] == "DELETED":
                self.gone[key] = event["object"]
            else:
                self.gone.pop(key, None)
            if event["type"] == "DELETED" or has_ended(event["object"]):
                self.on_end(event["object"])
        return version


class EventWatch(Watch, EventReflector):  # type: ignore[misc]  # untyped
    """What Kubernetes reports about pods of the labs' namespace; KubeSpawner's sorts all of it at each look."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._by_uid: dict[str, dict[str, dict[str, Any]]] = {}

    def about(self, uid: str) -> list[dict[str, Any]]:
        """Give what is reported of one pod, the oldest first."""
        return sorted(self._by_uid.get(uid, {}).values(), key=lambda one: one["lastTimestamp"] or one["eventTime"])

    async def _list(self) -> str:
        version = await super()._list()
        self._by_uid = {}
        for key, event in self.resources.items():
            self._by_uid.setdefault(event["involvedObject"].get("uid", ""), {})[key] = event
        return version

    def _take(self, event: dict[str, Any]) -> str:
        version = super()._take(event)
        if event["type"] != "BOOKMARK":
            key, uid = _key(event["object"]), event["object"]["involvedObject"].get("uid", "")
            if event["type"] != "DELETED":
                self._by_uid.setdefault(uid, {})[key] = event["object"]
            elif uid in self._by_uid:
                self._by_uid[uid].pop(key, None)
                if not self._by_uid[uid]:
                    del self._by_uid[uid]
        return version
