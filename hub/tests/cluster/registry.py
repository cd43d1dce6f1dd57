"""A container registry that each node reaches at `localhost`, and whose answers a test can replace by errors.

The address is `localhost`, because container runtimes use plain HTTP only for a registry at `localhost`. The registry
itself runs on the machine of the tests. A pod on each node forwards connections to this machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labtesting import cluster
from labtesting.cluster import NAMESPACE, kubectl
from labtesting.registry import Registry, run_registry

from hub.tests.cluster.node import REGISTRY_PORT, own_address
from tools.components import version

FORWARD = """
import asyncio, sys

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()

async def forward(reader, writer):
    try:
        target = await asyncio.open_connection(sys.argv[2], int(sys.argv[3]))
    except OSError:
        writer.close()
        return
    await asyncio.gather(copy(reader, target[1]), copy(target[0], writer))

async def main():
    async with await asyncio.start_server(forward, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()

asyncio.run(main())
"""


def forwarder(address: str, port: int) -> dict[str, Any]:
    """Return the DaemonSet that forwards the registry's port on each node to the machine of the tests."""
    labels = {"app": "registry-test"}
    container = {
        "name": "forward",
        "image": f"lsstsqre/jupyterlabdemo-hub:{version()}",
        "command": ["python", "-c", FORWARD, str(REGISTRY_PORT), address, str(port)],
        "readinessProbe": {"tcpSocket": {"port": REGISTRY_PORT, "host": "127.0.0.1"}, "periodSeconds": 1},
    }
    spec = {"hostNetwork": True, "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "registry-test", "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


@contextmanager
def serve_on_nodes(folder: Path) -> Iterator[Registry]:
    """Run the registry, and forward its port on each node. Each repository contains the lab's image."""
    address = own_address()
    with run_registry(f"lsstsqre/jupyterlabdemo:{version()}", folder, address) as registry:
        cluster.apply(forwarder(address, registry.server_address[1]))
        kubectl("rollout", "status", "daemonset/registry-test", "--namespace", NAMESPACE, "--timeout=60s")
        yield registry
        kubectl("delete", "daemonset", "registry-test", "--namespace", NAMESPACE)
