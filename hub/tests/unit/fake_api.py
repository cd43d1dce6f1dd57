"""A fake Kubernetes API with real HTTP. A test sets how it behaves. The tests in tests/cluster use a real API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api

Behaviour = Callable[["FakeApi", web.StreamResponse], Awaitable[None]]


def make_pod(name: str, version: int = 1, **changes: Any) -> dict[str, Any]:
    """Return a pod that is pending and has no container status."""
    metadata = {"name": name, "namespace": "labs", "resourceVersion": str(version), "uid": f"uid-{name}"}
    return {"metadata": metadata, "spec": {"containers": []}, "status": {"phase": "Pending"}} | changes


def make_running_pod(name: str, port: int, version: int = 1) -> dict[str, Any]:
    """Return a running pod whose lab listens on a port of this machine."""
    ports = [{"name": "notebook-port", "containerPort": port}]
    environment = [{"name": "JUPYTERHUB_API_TOKEN", "value": "made-up"}]
    container = {"name": "notebook", "image": "lsst/lab:1", "ports": ports, "env": environment}
    status = {
        "phase": "Running",
        "podIP": "127.0.0.1",
        "conditions": [{"type": "PodScheduled", "status": "True"}],
        "containerStatuses": [{"name": "notebook", "state": {"running": {}}}],
    }
    return make_pod(name, version, spec={"containers": [container]}, status=status)


async def stay_silent(_api: FakeApi, _response: web.StreamResponse) -> None:
    """Keep the response to a watch request open without sending an event."""
    await asyncio.Event().wait()


class FakeApi:
    """A fake of a part of the Kubernetes API.

    It supports the list and watch of pods and events, the creation, read and deletion of pods, and the read of nodes.

    Attributes
    ----------
    pods, events
        Objects that the API returns for a list request.
    lists, watches
        Number of list requests and of watch requests for pods.
    is_down
        Whether all requests fail with status 500.
    watch, event_watch
        Function that sends the body of the next watch response for pods, or for events.
    running_port
        If set, a created pod runs at once, and the pod's lab listens on this port.
    pending_status
        If set, a created pod has this status, and does not run.
    creation_gate
        If not None, the API delays the creation of a pod until this event is set. The API then creates the pod even if
        the client has closed the connection.
    answers
        Status and message of the next responses to requests that create a pod. If the list is empty, the status is 201.
    created
        Bodies of all requests to create a pod.
    deleted
        Pod name and body of all requests to delete a pod.
    removes_pods
        Whether a deleted pod without finalizers disappears at once. If False, such a pod disappears only after a
        deletion with a grace period of 0.
    nodes
        Status of the condition `Ready` by the name of the node. For other names, the API answers 404.
    node_status
        HTTP status of the responses to requests that read a node.
    """

    def __init__(self) -> None:
        self.pods: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.lists = self.watches = 0
        self.is_down = False
        self.watch: Behaviour = stay_silent
        self.event_watch: Behaviour = stay_silent
        self.running_port: int | None = None
        self.pending_status: dict[str, Any] | None = None
        self.creation_gate: asyncio.Event | None = None
        self.answers: list[tuple[int, str]] = []
        self.created: list[dict[str, Any]] = []
        self.deleted: list[tuple[str, dict[str, Any]]] = []
        self.removes_pods = True
        self.nodes: dict[str, str] = {}
        self.node_status = 200

    async def list_or_watch(self, request: web.Request) -> web.StreamResponse:
        """Answer a list or watch request."""
        if self.is_down:
            return web.json_response({"message": "etcd is unavailable", "code": 500}, status=500)
        of_pods = request.path.endswith("/pods")
        items = self.pods if of_pods else self.events
        if request.query.get("watch", "").lower() != "true":
            self.lists += of_pods
            start, limit = int(request.query.get("continue", 0)), int(request.query["limit"])
            rest = {"continue": str(start + limit)} if start + limit < len(items) else {}
            page = items[start : start + limit]
            return web.json_response({"metadata": {"resourceVersion": "5"} | rest, "items": page})
        self.watches += of_pods
        response = web.StreamResponse()
        await response.prepare(request)
        await (self.watch if of_pods else self.event_watch)(self, response)
        return response

    async def create(self, request: web.Request) -> web.Response:
        """Answer a request that creates a pod."""
        manifest = await request.json()
        self.created.append(manifest)
        if self.creation_gate:
            await self.creation_gate.wait()
        status, message = self.answers.pop(0) if self.answers else (201, "")
        if status == 201 and self.pending_status is not None:
            self.pods.append(make_pod(manifest["metadata"]["name"], version=6, status=self.pending_status))
        elif status == 201 and self.running_port is not None:
            running = make_running_pod(manifest["metadata"]["name"], self.running_port, version=6)
            self.pods.append(running)
        reason = "AlreadyExists" if message.endswith("already exists") else "Other"
        return web.json_response({"kind": "Status", "message": message, "reason": reason}, status=status)

    async def read(self, request: web.Request) -> web.Response:
        """Answer a request that reads a pod."""
        if self.is_down:
            return web.json_response({"message": "etcd is unavailable"}, status=500)
        name = request.match_info["name"]
        found = [item for item in self.pods if item["metadata"]["name"] == name]
        return web.json_response(found[0] if found else {"message": "not found"}, status=200 if found else 404)

    async def delete(self, request: web.Request) -> web.Response:
        """Answer a request that deletes a pod."""
        if self.is_down:
            return web.json_response({"message": "etcd is unavailable"}, status=500)
        name = request.match_info["name"]
        options = await request.json() if request.can_read_body else {}
        self.deleted.append((name, options))
        kept = [item for item in self.pods if item["metadata"]["name"] == name and not self._is_removed(item, options)]
        if kept:
            kept[0]["metadata"] |= deletion_fields(options.get("gracePeriodSeconds", 30))
            return web.json_response(kept[0])
        left = [item for item in self.pods if item["metadata"]["name"] != name]
        status = 200 if len(left) < len(self.pods) else 404
        self.pods = left
        return web.json_response({"kind": "Status"}, status=status)

    def _is_removed(self, pod: dict[str, Any], options: dict[str, Any]) -> bool:
        if pod["metadata"].get("finalizers"):
            return False
        return self.removes_pods or options.get("gracePeriodSeconds") == 0

    async def read_node(self, request: web.Request) -> web.Response:
        """Answer a request that reads a node."""
        if self.node_status != 200:
            return web.json_response({"message": "refused"}, status=self.node_status)
        ready = self.nodes.get(request.match_info["name"])
        if ready is None:
            return web.json_response({"message": "not found"}, status=404)
        return web.json_response({"status": {"conditions": [{"type": "Ready", "status": ready}]}})


def deletion_fields(grace_period: int, *, age: int = 0) -> dict[str, Any]:
    """Return the fields that a deletion adds to the metadata of a pod.

    Parameters
    ----------
    age
        Seconds since the request to delete the pod.
    """
    deadline = datetime.now(UTC) + timedelta(seconds=grace_period - age)
    return {"deletionTimestamp": f"{deadline:%Y-%m-%dT%H:%M:%SZ}", "deletionGracePeriodSeconds": grace_period}


def send_events(*events: dict[str, Any] | bytes) -> Behaviour:
    """Return a function that sends these events to one watch, for `FakeApi.watch` or `FakeApi.event_watch`.

    The following watches get no event. The value b"" at the end closes the response.
    """

    async def send(api: FakeApi, response: web.StreamResponse) -> None:
        api.watch = api.event_watch = stay_silent
        for event in events:
            await response.write(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")
        if events and events[-1] == b"":
            return
        await asyncio.Event().wait()

    return send


@asynccontextmanager
async def run_fake_api() -> AsyncIterator[tuple[FakeApi, CoreV1Api]]:
    """Run a fake Kubernetes API, and yield the API and a client."""
    api, application = FakeApi(), web.Application()
    for kind in ("pods", "events"):
        application.router.add_get(f"/api/v1/namespaces/labs/{kind}", api.list_or_watch)
    application.router.add_post("/api/v1/namespaces/labs/pods", api.create)
    application.router.add_get("/api/v1/namespaces/labs/pods/{name}", api.read)
    application.router.add_delete("/api/v1/namespaces/labs/pods/{name}", api.delete)
    application.router.add_get("/api/v1/nodes/{name}", api.read_node)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with ApiClient(Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")) as client:
            yield api, CoreV1Api(client)
    finally:
        await runner.cleanup()


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true. Raise a TimeoutError after a minute."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  (no event to wait for)
            await asyncio.sleep(0.01)
