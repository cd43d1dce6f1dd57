"""The floor: the time to create labs' pods through the Kubernetes API without a hub.

This time is the lower bound for the spawns of a hub.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from kubernetes_asyncio import client, config

from benchmarks.scaling.hollow import PORT
from benchmarks.scaling.rounds import LoadError, Round, together


@asynccontextmanager
async def kubernetes() -> AsyncIterator[Any]:
    """Yield a client of the Kubernetes API."""
    await config.load_kube_config()
    settings = client.Configuration.get_default_copy()
    settings.connection_pool_maxsize = 1000
    async with client.ApiClient(settings) as found:
        yield client.CoreV1Api(found)


async def labs(core: Any, namespace: str) -> list[dict[str, Any]]:
    """Return the pods of all labs in a namespace."""
    response = await core.list_namespaced_pod(namespace, _preload_content=False)
    found: list[dict[str, Any]] = (await response.json())["items"]
    return found


def variables(pod: dict[str, Any]) -> dict[str, str]:
    """Return the environment variables in the pod of a lab."""
    return {one["name"]: one.get("value", "") for one in pod["spec"]["containers"][0]["env"]}


async def bare(core: Any, template: dict[str, Any], count: int) -> Round:
    """Create `count` copies of a pod at the same time. Return the time until each pod answered, and delete the pods."""
    names = [f"bare-{number}" for number in range(count)]
    running = {name: asyncio.Event() for name in names}
    namespace: str = template["metadata"]["namespace"]
    # Omit the labels of labs. A hub would delete these pods if they had the labels, because they belong to no user.
    metadata = {"annotations": template["metadata"].get("annotations", {})}
    spec = {key: value for key, value in template["spec"].items() if key not in {"nodeName", "tolerations"}}
    addresses: dict[str, str] = {}
    listed = await core.list_namespaced_pod(namespace, limit=1, _preload_content=False)
    version: str = (await listed.json())["metadata"]["resourceVersion"]

    async def watch() -> None:
        nonlocal version
        # Watch again if the API server ends the watch, for example because this client reads too slowly.
        while True:
            response = await core.list_namespaced_pod(
                namespace, watch=True, resource_version=version, _preload_content=False, _request_timeout=300
            )
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    version = note_pod(json.loads(line)["object"])

    def note_pod(pod: dict[str, Any]) -> str:
        name, status = pod["metadata"]["name"], pod.get("status", {})
        if name in running and status.get("phase") == "Running" and status.get("podIP"):
            addresses[name] = status["podIP"]
            running[name].set()
        return str(pod["metadata"]["resourceVersion"])

    async def create(name: str) -> None:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"name": name}, "spec": spec}
        response = await core.create_namespaced_pod(namespace, pod, _preload_content=False)
        if response.status != 201:
            raise LoadError(await response.text())
        response.release()
        await asyncio.wait_for(running[name].wait(), 300)
        _, writer = await asyncio.open_connection(addresses[name], PORT)
        writer.close()

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        await asyncio.sleep(0.5)
        found = await together([partial(create, name) for name in names])
        watching.cancel()
    for name in names:
        await core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
    return found
