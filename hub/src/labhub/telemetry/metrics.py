"""The hub's metrics for Prometheus. They have a separate port, because nginx makes the hub's main port public."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from labhub.models.pod_types import STAGES
from labhub.shared import probe_server

SECONDS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 13, 21, 34, 60, 120, 300, 600)
PHASES = (*STAGES[1:], "ready")
STATES = ("created", "scheduled", "running", "stopping", "ended")
ACTIONS = ("adopted", "ghost", "orphan", "reset")

SPAWN_PHASE = Histogram(
    "labhub_spawn_phase_seconds",
    "Duration of each phase of a spawn: scheduled (a node was found), pulled (image and volumes were ready), "
    "started (the container ran), ready (the lab answered)",
    ["phase"],
    buckets=SECONDS,
)
SPAWN = Histogram("labhub_spawn_seconds", "Duration of a spawn until the lab answered", buckets=SECONDS)
FAILURES = Counter("labhub_spawn_failures_total", "Failed spawns, by reason", ["reason"])
ENDS = Counter("labhub_lab_ends_total", "Labs that ended without the user's request, by reason", ["reason"])
RECONCILED = Counter("labhub_reconcile_actions_total", "Corrections by the reconciler and by resets", ["action"])
WATCH_AGE = Gauge("labhub_watch_age_seconds", "Time since the Kubernetes API last confirmed the hub's data", ["kind"])
WATCH_IDLE = Gauge(
    "labhub_watch_idle_seconds", "Time since the last attempt of a watch; grows while the watch is dead", ["kind"]
)
SPAWNING_STOPPED = Gauge("labhub_spawning_stopped", "1 while an announcement pauses spawning, else 0")


def count_spawn(began: float, reached: Mapping[str, float]) -> None:
    """Add a successful spawn to the metrics: the duration of each phase and of the whole spawn.

    Parameters
    ----------
    began
        Start of the spawn, in seconds of a monotonic clock.
    reached
        Time at which each phase ended, in seconds of the same clock as `began`.
    """
    before = began
    for phase in PHASES:
        now = max(before, reached[phase])
        SPAWN_PHASE.labels(phase).observe(now - before)
        before = now
    SPAWN.observe(before - began)


def count_spawn_failure(reason: str) -> None:
    """Add a failed spawn to the metric of failures by reason."""
    FAILURES.labels(reason).inc()


def export_watch(kind: str, get_age: Callable[[], float], get_idle: Callable[[], float]) -> None:
    """Add two metrics of a reflector's watch: the age of the data, and the time since the last attempt, in seconds."""
    WATCH_AGE.labels(kind).set_function(get_age)
    WATCH_IDLE.labels(kind).set_function(get_idle)


class LabCollector(Collector):
    """Collector that counts labs by state when Prometheus reads the metrics.

    Parameters
    ----------
    count_labs
        Function that returns the number of labs in each state of `STATES`.
    """

    def __init__(self, count_labs: Callable[[], Mapping[str, int]]) -> None:
        self._count_labs = count_labs

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the metric `labhub_labs` with the current number of labs in each state."""
        counts = self._count_labs()
        family = GaugeMetricFamily("labhub_labs", "Pods of labs, by state", labels=["state"])
        for state in STATES:
            family.add_metric([state], counts.get(state, 0))
        yield family


def export_labs(count_labs: Callable[[], Mapping[str, int]]) -> None:
    """Add the metric `labhub_labs`, with the number of labs in each state, to the metrics for Prometheus."""
    REGISTRY.register(LabCollector(count_labs))


def serve_metrics(port: int, reasons: Iterable[str]) -> None:
    """Start the HTTP server from which Prometheus reads the metrics.

    Parameters
    ----------
    reasons
        All reasons for failed spawns and for ends of labs. The counter of each reason starts at zero, because
        Prometheus' function `increase()` ignores the first value of a series.

    Raises
    ------
    OSError
        Raised if the port is in use.
    """
    for action in ACTIONS:
        RECONCILED.labels(action)
    for reason in reasons:
        FAILURES.labels(reason)
        ENDS.labels(reason)
    probe_server.serve("0.0.0.0", port, REGISTRY, {})  # noqa: S104  (a NetworkPolicy protects the port)
