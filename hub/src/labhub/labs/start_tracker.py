"""Progress of a lab's start: the stages that its pod has reached, the problems that last, and the deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labhub.labs.pod_status import (
    GRACE_SECONDS,
    STAGE_MESSAGES,
    Diagnosis,
    diagnose,
    find_problem,
    find_stage,
)
from labhub.labs.spawn_errors import SpawnFailedError
from labhub.models.pod_types import STAGES, Pod, PodEvent


@dataclass(frozen=True)
class StartLimits:
    """Limits of a start, in seconds.

    Attributes
    ----------
    pull
        From the start until the image is on the node and the volumes are mounted.
    lab
        From then on until the lab answers.
    unschedulable
        From the first report of the scheduler that no node has room.
    """

    pull: float
    lab: float
    unschedulable: float


class ProblemDebouncer:
    """Filter that ignores a problem until it has lasted for its grace period.

    Parameters
    ----------
    grace_seconds
        Grace period for each reason.
    """

    def __init__(self, grace_seconds: Mapping[str, float]) -> None:
        self._grace_seconds = grace_seconds
        self._first_seen: dict[str, float] = {}

    def confirm(self, problem: Diagnosis | None, now: float) -> Diagnosis | None:
        """Return the problem if it has lasted for its grace period, else None."""
        if problem is None:
            self._first_seen.clear()
            return None
        first_seen = self._first_seen.setdefault(problem.reason, now)
        return problem if now - first_seen >= self._grace_seconds.get(problem.reason, 0) else None


class StartTracker:
    """The state of one start. The caller passes the pod, its events and the time.

    Parameters
    ----------
    limits
        Limits of the start.
    now
        Time of the start, in seconds of a monotonic clock.

    Attributes
    ----------
    reached
        Time at which each stage was reached, by the same clock.
    """

    def __init__(self, limits: StartLimits, now: float) -> None:
        self._limits = limits
        self._deadline = now + limits.pull
        self._debouncer = ProblemDebouncer({**GRACE_SECONDS, "unschedulable": limits.unschedulable})
        self._stage = STAGES[0]
        self.reached: dict[str, float] = {}

    def update(self, pod: Pod | None, events: Sequence[PodEvent], now: float) -> None:
        """Update the stage from the pod and its events.

        Raises
        ------
        SpawnFailedError
            Raised if a problem has lasted for its grace period.
        """
        self._stage = find_stage(pod, events)
        for stage in STAGES[1 : STAGES.index(self._stage) + 1]:
            if stage not in self.reached:
                self.reached[stage] = now
                if stage != "scheduled":
                    self._deadline = now + self._limits.lab
        if pod and (problem := self._debouncer.confirm(find_problem(pod), now)):
            raise SpawnFailedError(problem)

    def check_deadline(self, events: Sequence[PodEvent], now: float) -> None:
        """Check that the deadline has not passed.

        Raises
        ------
        SpawnFailedError
            Raised after the deadline, with the last warning of Kubernetes.
        """
        if now > self._deadline:
            warnings = [event["message"] for event in events if event.get("type") == "Warning"]
            detail = warnings[-1] if warnings else f"Last stage: {STAGE_MESSAGES[self._stage]}"
            raise SpawnFailedError(diagnose("timeout", detail))
