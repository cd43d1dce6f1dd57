"""What we measure, beside what JupyterHub measures; for Prometheus, on a port of its own.

A port of its own, because the hub's is open to everybody whom nginx lets through.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from labhub.labs.pod_status import SAID, STAGES, Pod, stage

SECONDS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 21, 34, 60, 120, 300, 600)
PHASES = (*STAGES[1:], "ready")
STATES = ("created", "scheduled", "running", "stopping", "ended")

SPAWN_PHASE = Histogram(
    "labhub_spawn_phase_seconds",
    "Time that a spawn took in each phase: until it was scheduled, from then until image and volumes were there "
    "(pulled), until the lab's process ran (started), until it answered (ready)",
    ["phase"],
    buckets=SECONDS,
)
SPAWN = Histogram("labhub_spawn_seconds", "Time from the start of a spawn until the lab answered", buckets=SECONDS)
FAILURES = Counter("labhub_spawn_failures_total", "Spawns that failed, by reason", ["reason"])
ENDS = Counter("labhub_lab_ends_total", "Labs that ended by themselves, by reason", ["reason"])
RECONCILED = Counter("labhub_reconcile_actions_total", "What the reconcile has put right", ["action"])
WATCH_AGE = Gauge("labhub_watch_age_seconds", "Time since the API last confirmed what the hub knows of it", ["kind"])
WATCH_IDLE = Gauge("labhub_watch_idle_seconds", "Time since the watch last tried; it is dead when that grows", ["kind"])

SPAWNING_STOPPED = Gauge("labhub_spawning_stopped", "1 while an administrator has stopped that labs are started")


def spawned(begun: float, reached: Mapping[str, float]) -> None:
    """Count a spawn that has succeeded; times in seconds of one clock."""
    before = begun
    for phase in PHASES:
        at = max(before, reached[phase])
        SPAWN_PHASE.labels(phase).observe(at - before)
        before = at
    SPAWN.observe(before - begun)


def spawn_failed(reason: str) -> None:
    """Count a spawn that has failed."""
    FAILURES.labels(reason).inc()


def watch(kind: str, age: Callable[[], float], idle: Callable[[], float]) -> None:
    """Show the age of a watch."""
    WATCH_AGE.labels(kind).set_function(age)
    WATCH_IDLE.labels(kind).set_function(idle)


class Labs(Collector):
    """Counts the labs' pods by what they are doing, when somebody asks.

    Parameters
    ----------
    pods
        Gives them all.
    """

    def __init__(self, pods: Callable[[], Iterable[Pod]]) -> None:
        self.pods = pods

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Count."""
        tally = Tally(state(pod) for pod in self.pods())
        family = GaugeMetricFamily("labhub_labs", "Pods of labs, by state", labels=["state"])
        for name in STATES:
            family.add_metric([name], tally[name])
        yield family


def state(pod: Pod) -> str:
    """Say what a pod is doing: one of `STATES`."""
    if pod["metadata"].get("deletionTimestamp"):
        return "stopping"
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return "ended"
    found = stage(pod, ())
    return "running" if found == STAGES[-1] else found


def labs(pods: Callable[[], Iterable[Pod]]) -> None:
    """Count labs from now on."""
    REGISTRY.register(Labs(pods))


def serve(port: int) -> None:
    """Answer Prometheus on a port, from a thread."""
    # What has not happened yet is zero, not missing.
    for action in ("orphan", "ghost", "reset"):
        RECONCILED.labels(action)
    for reason in SAID:
        FAILURES.labels(reason)
        ENDS.labels(reason)
    start_http_server(port)
