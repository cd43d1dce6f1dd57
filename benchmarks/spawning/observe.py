"""What a spawn costs, and when its pod comes how far, seen from outside: the same for both hubs."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from labtesting.cluster import kubectl

# How far a pod comes, in this order
PHASES = ("pod made", "scheduled", "volumes and network", "first container ran", "lab's container ran")
TICKS_PER_SECOND = 100  # Linux tells programs so on every machine


def reached(pod: dict[str, Any]) -> set[str]:
    """Say how far a pod has come."""
    status = pod.get("status") or {}
    done = {one["type"] for one in status.get("conditions") or [] if one["status"] == "True"}
    ran = [
        [bool({"running", "terminated"} & set(one["state"])) for one in status.get(f"{kind}Statuses") or []]
        for kind in ("initContainer", "container")
    ]
    found = {
        "pod made": True,
        "scheduled": "PodScheduled" in done,
        "volumes and network": "PodReadyToStartContainers" in done,
        "first container ran": any(ran[0] + ran[1]),
        "lab's container ran": any(ran[1]),
    }
    return {phase for phase in PHASES if found[phase]}


class PodTimes:
    """When each pod of a namespace was first seen to have come how far, by the clock of `time.monotonic`."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.times: dict[str, dict[str, float]] = {}

    @contextmanager
    def watching(self) -> Iterator[PodTimes]:
        """Look until the end of the block; pods that are there before it do not count."""
        listed = json.loads(kubectl("get", "--raw", f"/api/v1/namespaces/{self.namespace}/pods"))
        version = listed["metadata"]["resourceVersion"]
        path = f"/api/v1/namespaces/{self.namespace}/pods?watch=1&resourceVersion={version}"
        process = subprocess.Popen(["kubectl", "get", "--raw", path], stdout=subprocess.PIPE)
        thread = threading.Thread(target=self._read, args=[process], daemon=True)
        thread.start()
        try:
            yield self
        finally:
            process.terminate()
            process.wait()
            thread.join()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101
        for line in process.stdout:
            now = time.monotonic()
            event = json.loads(line)
            if event["type"] in {"ADDED", "MODIFIED"}:
                times = self.times.setdefault(event["object"]["metadata"]["uid"], {})
                for phase in reached(event["object"]):
                    times.setdefault(phase, now)


@dataclass(frozen=True)
class Cpu:
    """Processor seconds until now: of the hub's container, and of its whole node."""

    hub: float
    node: float

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(self.hub - before.hub, self.node - before.node)


def cpu(namespace: str) -> Cpu:
    """Read both in the hub's container: Linux shows the node's processors in each."""
    script = "cat /proc/stat; cat /proc/[0-9]*/stat 2>/dev/null; true"
    lines = kubectl("exec", "deployment/hub", "--namespace", namespace, "--", "sh", "-c", script).splitlines()
    user, nice, system, _idle, _waiting, irq, softirq = map(int, lines[0].split()[1:8])
    processes = [line.rpartition(")")[2].split() for line in lines if line[:1].isdigit()]
    hub = sum(int(fields[11]) + int(fields[12]) for fields in processes)
    return Cpu(hub / TICKS_PER_SECOND, (user + nice + system + irq + softirq) / TICKS_PER_SECOND)
