"""Measurements of a spawn from outside the hub, in the same way for both hubs: the phases of pods, and CPU time."""

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

# The phases of a pod during a spawn, in the order in which the pod reaches these phases
PHASES = (
    "pod created",
    "pod scheduled",
    "volumes and network ready",
    "first container started",
    "lab's container started",
)
TICKS_PER_SECOND = 100  # Linux's USER_HZ: times in /proc are in units of 1 / USER_HZ seconds


def reached_phases(pod: dict[str, Any]) -> set[str]:
    """Return those of `PHASES` that a pod has reached, according to its status."""
    status = pod.get("status") or {}
    conditions = {condition["type"] for condition in status.get("conditions") or [] if condition["status"] == "True"}
    started = [
        [bool({"running", "terminated"} & set(container["state"])) for container in status.get(f"{kind}Statuses") or []]
        for kind in ("initContainer", "container")
    ]
    found = {
        "pod created": True,
        "pod scheduled": "PodScheduled" in conditions,
        "volumes and network ready": "PodReadyToStartContainers" in conditions,
        "first container started": any(started[0] + started[1]),
        "lab's container started": any(started[1]),
    }
    return {phase for phase in PHASES if found[phase]}


class PodTimes:
    """The times at which the pods of a namespace reached each phase, by the clock of `time.monotonic`."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.times: dict[str, dict[str, float]] = {}

    @contextmanager
    def watching(self) -> Iterator[PodTimes]:
        """Watch the namespace for new pods until the end of the block. Pods that already exist do not count."""
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
                for phase in reached_phases(event["object"]):
                    times.setdefault(phase, now)


@dataclass(frozen=True)
class Cpu:
    """The CPU time in seconds that the hub's container and the whole node have used so far."""

    hub: float
    node: float

    def __sub__(self, before: Cpu) -> Cpu:
        return Cpu(self.hub - before.hub, self.node - before.node)


def cpu(namespace: str) -> Cpu:
    """Return both CPU times. They are read in the hub's container, whose /proc/stat covers the whole node."""
    script = "cat /proc/stat; cat /proc/[0-9]*/stat 2>/dev/null; true"
    lines = kubectl("exec", "deployment/hub", "--namespace", namespace, "--", "sh", "-c", script).splitlines()
    user, nice, system, _idle, _waiting, irq, softirq = map(int, lines[0].split()[1:8])
    processes = [line.rpartition(")")[2].split() for line in lines if line[:1].isdigit()]
    hub = sum(int(fields[11]) + int(fields[12]) for fields in processes)
    return Cpu(hub / TICKS_PER_SECOND, (user + nice + system + irq + softirq) / TICKS_PER_SECOND)
