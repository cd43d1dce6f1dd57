"""Reflectors: local copies of the labs' pods and events, updated by watches of the Kubernetes API.

After an outage of the API, a reflector reconnects. The hub does not use KubeSpawner's reflector, which stops after an
outage of 30 s (https://github.com/jupyterhub/kubespawner/issues/938), and lists all objects every 10 s. KubeSpawner's
reflector also parses each object into an object of the client, which costs CPU time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable
from http import HTTPStatus
from typing import Any, ClassVar

from kubernetes_asyncio.client import ApiException, CoreV1Api

from labhub.labs.kubernetes_errors import format_api_error
from labhub.labs.pod_status import has_ended
from labhub.models.pod_events import PodEvent, parse_event
from labhub.models.pod_types import Pod

_log = logging.getLogger(__name__)
# Seconds after which the API ends a watch. The reflector then starts the next watch from the last version, with one
# request. Because of this limit, the reflector also notices if a firewall has dropped the connection of a watch.
WATCH_SECONDS = 30
# If the API has not ended a watch this many seconds after `WATCH_SECONDS`, the reflector closes the connection.
SILENCE_SECONDS = 10
# Timeout for one page of a list, in seconds
LIST_SECONDS = 15
# Objects per page of a list. Parsing a page blocks the event loop. A single page with thousands of pods would be
# megabytes of JSON.
PAGE_SIZE = 100
# Types of watch events that report a change of an object
CHANGES = {"ADDED", "MODIFIED", "DELETED"}
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
        The objects. Their keys have the form `<namespace>/<name>`.
    seen_at
        Time of the API's last confirmation that `objects` is complete, in seconds of `time.monotonic`.
    tried_at
        Time at which the last attempt to list or watch the objects ended, successful or not, in seconds of
        `time.monotonic`. A reflector that works ends an attempt at least every `WATCH_SECONDS + SILENCE_SECONDS`.
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
        """Seconds since the Kubernetes API last confirmed that `objects` is complete."""
        return time.monotonic() - self.seen_at

    @property
    def idle(self) -> float:
        """Seconds since the last attempt to reach the Kubernetes API ended."""
        return time.monotonic() - self.tried_at

    @property
    def is_loaded(self) -> bool:
        """Whether the Kubernetes API has returned all objects at least once."""
        return self._loaded.is_set()

    def start(self) -> asyncio.Task[None]:
        """Start a task that lists and watches the objects, and return the task.

        The task repeats failed requests, so it ends only if it is cancelled.
        """
        self._task = asyncio.create_task(self._follow())
        return self._task

    async def wait_until_loaded(self) -> None:
        """Wait until the API has returned all objects at least once."""
        await self._loaded.wait()

    async def wait_for_change(self, key: str, seconds: float) -> bool:
        """Wait until one object changes, and return whether it changed before the timeout.

        Changes of other objects do not wake the waiting task.
        """
        change = self._changes.setdefault(key, asyncio.Event())
        with contextlib.suppress(TimeoutError):
            # Use `timeout`, because `wait_for` of Python 3.11 can lose a cancellation
            # (https://github.com/python/cpython/issues/86296).
            async with asyncio.timeout(seconds):
                return await change.wait()
        return False

    def notify(self, key: str) -> None:
        """Wake the tasks that wait in `wait_for_change` for this object."""
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
                    version = self._apply(event, version)
                self._confirm()
                pause = RETRY_MIN
            except ApiException as error:
                version = None
                if error.status != HTTPStatus.GONE:  # GONE only means that the version of the watch is too old
                    pause = await self._pause(pause, error)
            # No error may end this task. `asyncio` and `aiohttp` raise errors of a dozen types, so catch all of them.
            except Exception as error:
                version = None
                pause = await self._pause(pause, error)

    async def _pause(self, seconds: float, error: Exception) -> float:
        """Log the error, wait before the next attempt, and return the longer pause for the attempt after that."""
        self.tried_at = time.monotonic()
        _log.warning("the watch of %s was lost and is restarted: %s", self.kind, format_api_error(error))
        await asyncio.sleep(seconds * random.uniform(0.5, 1))  # noqa: S311  (the pause is not a secret)
        return min(seconds * 2, RETRY_MAX)

    async def _load(self) -> str:
        """Replace the copies by a new list of all objects, and return the version of the list for the next watch."""
        objects: dict[str, dict[str, Any]] = {}
        position: dict[str, str] = {}
        while True:
            response = await self._request(limit=PAGE_SIZE, _request_timeout=LIST_SECONDS, **position)
            page = await response.json()
            objects |= self._read_items(page.get("items") or [])
            if not page["metadata"].get("continue"):
                break
            position = {"_continue": page["metadata"]["continue"]}
        self.objects = objects
        self._confirm()
        for key in list(self._changes):
            self.notify(key)
        self._loaded.set()
        return str(page["metadata"]["resourceVersion"])

    def _read_items(self, items: Iterable[Any]) -> dict[str, dict[str, Any]]:
        """Return the objects of a list by key, without unreadable objects."""
        objects = {}
        for item in items:
            if key := object_key(item):
                objects[key] = trim(item)
            else:
                _log.warning("an object in the list of %s has no name and is ignored", self.kind)
        return objects

    async def _watch(self, version: str) -> AsyncIterator[dict[str, Any]]:
        response = await self._request(
            resource_version=version,
            watch=True,
            allow_watch_bookmarks=True,
            timeout_seconds=WATCH_SECONDS,
            _request_timeout=WATCH_SECONDS + SILENCE_SECONDS,
        )
        try:
            # Split the lines here. aiohttp's `readline` refuses lines of more than 128 kB, but the JSON of a pod can be
            # larger.
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)
        finally:
            response.release()

    async def _request(self, **arguments: Any) -> Any:
        """Send a list or watch request, and return the raw response. The client's own parser needs much CPU time."""
        response = await self._list_call()(
            namespace=self.namespace, **self._selectors, _preload_content=False, **arguments
        )
        if response.status != HTTPStatus.OK:
            response.release()
            raise ApiException(status=response.status, reason=response.reason)
        return response

    def _apply(self, event: dict[str, Any], version: str) -> str:
        """Apply a watch event to the copies, and return the version after the event. Ignore events of unknown types.

        Raises
        ------
        ApiException
            Raised if the API reports an error.
        ValueError
            Raised if the changed object has no name. The reflector then lists all objects again.
        """
        kind, changed = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            raise ApiException(status=changed.get("code"), reason=changed.get("message"))
        self._confirm()
        if kind in CHANGES:
            key = object_key(changed)
            if key is None:
                raise ValueError(f"an object of the type {kind} has no name")
            self._apply_change(key, changed, deleted=kind == "DELETED")
        elif kind != "BOOKMARK":
            return version
        return str((changed.get("metadata") or {}).get("resourceVersion") or version)

    def _apply_change(self, key: str, changed: dict[str, Any], *, deleted: bool) -> None:
        if deleted:
            self.objects.pop(key, None)
        else:
            self.objects[key] = trim(changed)
        self._note_change(key, changed, deleted=deleted)
        self.notify(key)

    @abstractmethod
    def _note_change(self, key: str, changed: dict[str, Any], *, deleted: bool) -> None:
        """Update the data that the subclass derives from the objects."""


def trim(item: dict[str, Any]) -> dict[str, Any]:
    """Remove the field `managedFields` from an object, and return the object.

    The hub does not need this field, which is a third of an object's size. `managedFields` lists which client has set
    each field of the object.
    """
    item["metadata"].pop("managedFields", None)
    return item


def object_key(item: Any) -> str | None:
    """Return `<namespace>/<name>` of an object, or None if the object has no name."""
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(metadata, dict) or not metadata.get("name"):
        return None
    return f"{metadata.get('namespace')}/{metadata['name']}"


class PodReflector(Reflector):
    """Reflector of the pods of all labs.

    Attributes
    ----------
    deleted
        The deleted pods with their last status, which shows why the lab ended. An entry stays until a new pod has the
        same name.
    on_end
        Function that the reflector calls with each pod that has ended or was deleted.
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
        if not deleted and not has_ended(changed):
            return
        try:
            self.on_end(changed)
        except Exception:  # an error for one lab must not end the watch of all labs
            _log.exception("cannot handle the end of the pod %s", key)


class EventReflector(Reflector):
    """Reflector of the events of all labs' pods, grouped by pod."""

    kind = "events"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._by_uid: dict[str, dict[str, PodEvent]] = {}

    def _list_call(self) -> Callable[..., Any]:
        return self._api.list_namespaced_event

    def find_events(self, uid: str) -> list[PodEvent]:
        """Return the events of one pod by its UID, oldest first."""
        return sorted(self._by_uid.get(uid, {}).values(), key=lambda event: event.time)

    async def _load(self) -> str:
        version = await super()._load()
        self._by_uid = {}
        for key, item in self.objects.items():
            self._store(key, parse_event(item))
        return version

    def _note_change(self, key: str, changed: dict[str, Any], *, deleted: bool) -> None:
        event = parse_event(changed)
        if not deleted:
            self._store(key, event)
        elif event.pod_uid in self._by_uid:
            self._by_uid[event.pod_uid].pop(key, None)
            if not self._by_uid[event.pod_uid]:
                del self._by_uid[event.pod_uid]

    def _store(self, key: str, event: PodEvent) -> None:
        # Ignore an event without the UID of a pod, because it could be about an earlier pod with the same name.
        if event.pod_uid:
            self._by_uid.setdefault(event.pod_uid, {})[key] = event
