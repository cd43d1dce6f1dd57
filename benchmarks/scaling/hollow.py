"""Simulated labs: pods that KWOK sets to Running, and one small server that answers all requests to labs.

KWOK simulates a node of the real cluster. The addresses of the simulated node's pods are routed to this machine, where
the server answers each request as JupyterLab does. The cluster's real nodes are cordoned, so that no pod starts on
them.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jupyterhub  # type: ignore[import-untyped]
from labtesting import cluster
from labtesting.cluster import kubectl
from labtesting.hub_process import wait_until

MODULE = "sigs.k8s.io/kwok"
VERSION = "v0.8.0"
# Names of the KWOK stages in use. A stage is a rule for the state changes of a node or of a pod.
STAGES = (
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-delete",
)
HUBS = ("stock", "ours")
# Each hub has a namespace for its labs.
NAMESPACES = {title: f"scale-bench-{title}" for title in HUBS}
NODE = "scale-bench"
PODS = "10.201.0.1/16"
PORT = 8888
ANSWER = b'{"version": "2.0"}'
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"X-JupyterHub-Version: %s\r\nContent-Length: %d\r\n\r\n%s" % (jupyterhub.__version__.encode(), len(ANSWER), ANSWER)
)


def build(folder: Path) -> Path:
    """Build the program KWOK if it does not exist, and return its path."""
    program = folder / f"kwok-{VERSION}" / "kwok"
    if not program.exists():
        print(f"building KWOK {VERSION} ...", flush=True)
        environ = os.environ | {"GOBIN": str(program.parent.resolve())}
        subprocess.run(["go", "install", f"{MODULE}/cmd/kwok@{VERSION}"], check=True, env=environ)
    return program


def stages() -> list[str]:
    """Return the command-line arguments with which KWOK uses the stages of `STAGES`."""
    listed = subprocess.run(
        ["go", "mod", "download", "-json", f"{MODULE}@{VERSION}"], check=True, capture_output=True, text=True
    )
    folder = Path(json.loads(listed.stdout)["Dir"], "kustomize/stage")
    return [f"--config={folder / name}.yaml" for name in STAGES]


def objects() -> list[dict[str, Any]]:
    """Return manifests for the simulated node, for the labs' namespaces, and for the volumes that our labs mount."""
    capacity = {"cpu": "100k", "memory": "1Pi", "pods": "10k"}
    node: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": NODE, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "status": {"allocatable": capacity, "capacity": capacity},
    }
    result: list[dict[str, Any]] = [
        node,
        *({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES.values()),
    ]
    access: dict[str, Any] = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    for name in ("home", "project"):
        volume = f"{NODE}-{name}"
        size = {"storage": "1Gi"}
        result += [
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": volume},
                "spec": access | {"capacity": size, "hostPath": {"path": "/nowhere"}},
            },
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "namespace": NAMESPACES["ours"]},
                "spec": access | {"volumeName": volume, "resources": {"requests": size}},
            },
        ]
    return result


@contextmanager
def cordoned() -> Iterator[None]:
    """Cordon the real nodes until the end of the block, so that no new pod starts on them."""
    nodes = cluster.get("nodes")
    names = [node["metadata"]["name"] for node in nodes if not node["spec"].get("unschedulable")]
    kubectl("cordon", *names)
    try:
        yield
    finally:
        kubectl("uncordon", *names)


@contextmanager
def running(command: Sequence[str | Path], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def simulate_node(kwok: Path, folder: Path) -> Iterator[None]:
    """Simulate a node and its pods until the end of the block."""
    route = ["local", PODS.replace(".1/", ".0/"), "dev", "lo"]
    command: list[str | Path] = [
        kwok,
        f"--kubeconfig={os.environ['KUBECONFIG']}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        f"--cidr={PODS}",
        "--node-lease-duration-seconds=40",
        *stages(),
    ]
    subprocess.run(["ip", "route", "replace", *route], check=True)
    try:
        with (
            cordoned(),
            running([sys.executable, "-m", "benchmarks.scaling.hollow"], folder / "answers.log"),
            running([*command, "--server-address=127.0.0.1:0"], folder / "kwok.log"),
        ):
            cluster.apply(*objects())
            wait_until(is_ready, "KWOK's node is ready")
            try:
                yield
            finally:
                clear()
    finally:
        kubectl("delete", "node", NODE, "--ignore-not-found")
        kubectl("delete", "namespace", *NAMESPACES.values(), "--ignore-not-found", timeout=300)
        kubectl("delete", "pv", f"{NODE}-home", f"{NODE}-project", "--ignore-not-found")
        subprocess.run(["ip", "route", "del", *route], check=True)


def is_ready() -> bool:
    """Return whether the simulated node is ready."""
    status = cluster.get("node", NODE)["status"]
    conditions = status.get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def clear() -> None:
    """Delete the pods of all simulated labs, and wait until they are gone."""
    namespaces = NAMESPACES.values()
    for namespace in namespaces:
        # Send one request for all pods. `kubectl delete --all` would delete one pod after the other, which takes
        # minutes.
        kubectl("delete", "--raw", f"/api/v1/namespaces/{namespace}/pods?gracePeriodSeconds=0")
    wait_until(lambda: not any(cluster.get("pods", namespace=name) for name in namespaces), "all pods are gone", 300)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each HTTP request on a connection as a lab does."""
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(RESPONSE)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve() -> None:
    """Listen on the port of the simulated labs, at the addresses of all pods."""
    server = await asyncio.start_server(answer, "0.0.0.0", PORT, backlog=4096)  # noqa: S104  (the addresses of all pods)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
