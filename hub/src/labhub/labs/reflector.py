"""Reflectors: local copies of the labs' pods and events. They follow the Kubernetes API, and reconnect after an outage.

KubeSpawner's reflector stops after an outage of 30 s (https://github.com/jupyterhub/kubespawner/issues/938), lists all
objects every 10 s, and parses them into client objects that the hub does not need.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any, ClassVar

from kubernetes_asyncio.client import ApiException, CoreV1Api

from labhub.labs.kubernetes_errors import format_api_error
from labhub.labs.pod_status import has_ended
from labhub.models.pod_types import Pod, PodEvent

_log = logging.getLogger(__name__)
# Seconds after which the API ends a watch. The next watch continues from the same version, so it costs one request. The
# limit also detects a connection that a firewall has dropped.
WATCH_SECONDS = 30
# If the API has not ended the watch after this many more seconds, the connection counts as dead.
SILENCE_SECONDS = 10
# Timeout for one page of a list, in seconds
LIST_SECONDS = 15
# Objects per page of a list. Parsing a page blocks the event loop, and thousands of pods are megabytes of JSON.
PAGE_SIZE = 100
# Pause in seconds before a retry while the API does not answer
RETRY_MIN, RETRY_MAX = 0.2, 5.0


class Reflector(ABC):
    """A copy of all objects of one kind in a namespace.

    Parameters
    ----------
    api
        Client of the API.
    namespace
        Namespace of the objects.
    label_selector, field_selector
        Selectors in the form of the API, for example `app=lab`.

    Attributes
    ----------
    objects
        The objects by `<namespace>/<name>`.
    seen_at
        Time of the API's last confirmation that `objects` is complete, in seconds of `time.monotonic`.
    tried_at
        Time at which the last attempt ended, successful or not. A reflector that is alive tries at least every
        `WATCH_SECONDS + SILENCE_SECONDS`.
    """

    kind: ClassVar[str]

    def __init__(self, api: CoreV1Api, namespace: str, *, label_selector: str = "", field_selector: str = "") -> None:
        self.namespace = namespace
        self.objects: dict[str, dict[str, Any]] = {}
        self.seen_at = self.tried_at = time.monotonic()
        self._api = api
        self._selectors = {"label_selector": label_selector, "field_selector": field_selector}
        self._changes: dict[str, asyncio.Event] = {}
        self._loaded = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    def _list_call(self) -> Callable[..., Any]:
        """Return the client's method that lists the objects."""

    @property
    def age(self) -> float:
        """Seconds since the API's last confirmation."""
        return time.monotonic() - self.seen_at

    @property
    def idle(self) -> float:
        """Seconds since the last attempt ended."""
        return time.monotonic() - self.tried_at

    @property
    def is_loaded(self) -> bool:
        """Whether the API has answered once."""
        return self._loaded.is_set()

    def start(self) -> asyncio.Task[None]:
        """Start to follow the API, even if it does not answer yet. The task ends only if it is cancelled."""
        self._task = asyncio.create_task(self._follow())
        return self._task

    async def wait_until_loaded(self) -> None:
        """Wait until the API has answered once."""
        await self._loaded.wait()

    async def wait_for_change(self, key: str, seconds: float) -> bool:
        """Wait for a change of one object, and return whether the object changed in time.

        Changes of other objects do not wake the waiting task.
        """
        change = self._changes.setdefault(key, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            # Python 3.11's `wait_for` can lose a cancellation (https://github.com/python/cpython/issues/86296).
            async with asyncio.timeout(seconds):
                return await change.wait()
        return False

    def notify(self, key: str) -> None:
        """Wake the tasks that wait for one object."""
        if change := self._changes.pop(key, None):
            change.set()

    def _confirm(self) -> None:
        self.seen_at = self.tried_at = time.monotonic()

    async def _follow(self) -> None:
        pause = RETRY_MIN
        version: str | None = None
        while True:
            try:
                version = version or await self._load()
                async for event in self._watch(version):
                    version = self._apply(event)
                self._confirm()
                pause = RETRY_MIN
            except ApiException as error:
                version = None
                if error.status != HTTPStatus.GONE:  # the API has forgotten this version: list again
                    pause = await self._pause(pause, error)
            # The reflector must survive all errors, and `asyncio` and `aiohttp` raise a dozen types.
            except Exception as error:
                version = None
                pause = await self._pause(pause, error)

    async def _pause(self, seconds: float, error: Exception) -> float:
        """Wait before a retry, and return the next pause."""
        self.tried_at = time.monotonic()
        _log.warning("the watch of %s was lost and is restarted: %s", self.kind, format_api_error(error))
        await asyncio.sleep(seconds * random.uniform(0.5, 1))  # noqa: S311  (not a secret)
        return min(seconds * 2, RETRY_MAX)

    async def _load(self) -> str:
        """List all objects, and return the version of the list."""
        objects: dict[str, dict[str, Any]] = {}
        position: dict[str, str] = {}
        while True:
            response = await self._request(limit=PAGE_SIZE, _request_timeout=LIST_SECONDS, **position)
            page = await response.json()
            objects |= {object_key(item): trim(item) for item in page["items"]}
            if not page["metadata"].get("continue"):
                break
            position = {"_continue": page["metadata"]["continue"]}
        self.objects = objects
        self._confirm()
        for key in list(self._changes):
            self.notify(key)
        self._loaded.set()
        return str(page["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> AsyncIterator[dict[str, Any]]:
        response = await self._request(
            resource_version=version,
            watch=True,
            allow_watch_bookmarks=True,
            timeout_seconds=WATCH_SECONDS,
            _request_timeout=WATCH_SECONDS + SILENCE_SECONDS,
        )
        try:
            # aiohttp's `readline` is not used: it refuses lines of more than 128 kB, and a pod can be larger.
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)
        finally:
            response.release()

    async def _request(self, **arguments: Any) -> Any:
        """Send a list or watch request, and return the raw response, because client objects are expensive."""
        response = await self._list_call()(
            namespace=self.namespace, **self._selectors, _preload_content=False, **arguments
        )
        if response.status != HTTPStatus.OK:
            response.release()
            raise ApiException(status=response.status, reason=response.reason)
        return response

    def _apply(self, event: dict[str, Any]) -> str:
        """Apply a watch event, and return the version after it."""
        kind, changed = event["type"], event["object"]
        if kind == "ERROR":
            raise ApiException(status=changed.get("code"), reason=changed.get("message"))
        self._confirm()
        if kind != "BOOKMARK":
            key = object_key(changed)
            if kind == "DELETED":
                self.objects.pop(key, None)
            else:
                self.objects[key] = trim(changed)
            self._note_change(key, changed, deleted=kind == "DELETED")
            self.notify(key)
        return str(changed["metadata"]["resourceVersion"])

    @abstractmethod
    def _note_change(self, key: str, changed: dict[str, Any], *, deleted: bool) -> None:
        """Update the data that the subclass derives from the objects."""


def trim(item: dict[str, Any]) -> dict[str, Any]:
    """Remove `managedFields`, which is a third of an object. It lists the client that set each field."""
    item["metadata"].pop("managedFields", None)
    return item


def object_key(item: dict[str, Any]) -> str:
    """Return `<namespace>/<name>` of an object."""
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


class PodReflector(Reflector):
    """The pods of all labs.

    Attributes
    ----------
    deleted
        Last status of each deleted pod, until a new pod has the same name. It shows why the lab ended.
    on_end
        Called with each pod that has ended or was deleted.
    """

    kind = "pods"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deleted: dict[str, Pod] = {}
        self.on_end: Callable[[Pod], None] = lambda _pod: None

    def _list_call(self) -> Callable[..., Any]:
        return self._api.list_namespaced_pod

    def _note_change(self, key: str, changed: Pod, *, deleted: bool) -> None:
        if deleted:
            self.deleted[key] = changed
        else:
            self.deleted.pop(key, None)
        if deleted or has_ended(changed):
            self.on_end(changed)


class EventReflector(Reflector):
    """The events of all labs' pods, grouped by pod."""

    kind = "events"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._by_uid: dict[str, dict[str, PodEvent]] = {}

    def _list_call(self) -> Callable[..., Any]:
        return self._api.list_namespaced_event

    def find_events(self, uid: str) -> list[PodEvent]:
        """Return the events of one pod by its UID, oldest first."""
        return sorted(
            self._by_uid.get(uid, {}).values(), key=lambda event: event["lastTimestamp"] or event["eventTime"]
        )

    async def _load(self) -> str:
        version = await super()._load()
        self._by_uid = {}
        for key, event in self.objects.items():
            self._by_uid.setdefault(event["involvedObject"].get("uid", ""), {})[key] = event
        return version

    def _note_change(self, key: str, changed: PodEvent, *, deleted: bool) -> None:
        uid = changed["involvedObject"].get("uid", "")
        if not deleted:
            self._by_uid.setdefault(uid, {})[key] = changed
        elif uid in self._by_uid:
            self._by_uid[uid].pop(key, None)
            if not self._by_uid[uid]:
                del self._by_uid[uid]
