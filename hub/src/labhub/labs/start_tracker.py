"""Progress of a lab's start: the stages that its pod has reached, the problems that last, and the deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labhub.labs.pod_status import STAGE_MESSAGES, diagnose, find_stage
from labhub.labs.spawn_errors import SpawnFailedError
from labhub.labs.starting.start_problem import Patience, StartProblem, find_problem
from labhub.models.pod_events import PodEvent
from labhub.models.pod_types import STAGES, Pod

# A problem with `Patience.SECONDS` ends the spawn when it has lasted for this number of seconds.
CONFIRM_SECONDS = 5.0


@dataclass(frozen=True)
class StartLimits:
    """Limits of a start, in seconds.

    Attributes
    ----------
    pull
        Maximum time from the assignment of a node until the image is on the node and the volumes are mounted.
    lab
        Maximum time of each later stage: until the container has started, and then until the lab answers.
    unschedulable
        Maximum time from the scheduler's first report that no node has room until the assignment of a node.
    """

    pull: float
    lab: float
    unschedulable: float


class ProblemTimer:
    """Timer of the problems of a start. The start fails if a problem lasts longer than its `Patience` allows.

    Parameters
    ----------
    seconds
        For each `Patience`, the number of seconds for which a problem with this patience may last.
    """

    def __init__(self, seconds: Mapping[Patience, float]) -> None:
        self._seconds = seconds
        self._first_seen: dict[tuple[str, Patience], float] = {}

    def has_expired(self, problem: StartProblem, now: float) -> bool:
        """Return whether a problem has lasted too long. If only the problem's detail changes, the timer continues."""
        first_seen = self._first_seen.setdefault((problem.diagnosis.reason, problem.patience), now)
        return now - first_seen >= self._seconds[problem.patience]

    def reset(self) -> None:
        """Reset the times of all problems, because all problems have passed."""
        self._first_seen.clear()


class StartTracker:
    """The state of one lab's start. The caller passes the lab's pod, the pod's events and the time.

    Parameters
    ----------
    limits
        Limits of the start.
    now
        Time of the start, in seconds of a monotonic clock.

    Attributes
    ----------
    reached
        Time at which the start reached each stage, in seconds of the same clock as `now`.
    """

    def __init__(self, limits: StartLimits, now: float) -> None:
        self._limits = limits
        # If the scheduler reports that no node has room, the patience `NODE` limits the wait. If the scheduler reports
        # nothing, this deadline limits the wait.
        self._deadline = now + limits.unschedulable + limits.pull
        self._timer = ProblemTimer(
            {
                Patience.NONE: 0,
                Patience.SECONDS: CONFIRM_SECONDS,
                Patience.NODE: limits.unschedulable,
                Patience.DEADLINE: float("inf"),
            }
        )
        self._stage = STAGES[0]
        self._problem: StartProblem | None = None
        self._pod_seen = False
        self.reached: dict[str, float] = {}

    def update(self, pod: Pod | None, events: Sequence[PodEvent], now: float) -> None:
        """Update the stage, the deadline and the current problem of the start from the pod and its events.

        Raises
        ------
        SpawnFailedError
            Raised if a problem is permanent or has lasted too long, or if the pod no longer exists.
        """
        if pod is None and self._pod_seen:
            raise SpawnFailedError(diagnose("deleted"))
        self._pod_seen = pod is not None
        self._stage = find_stage(pod, events)
        for stage in STAGES[1 : STAGES.index(self._stage) + 1]:
            if stage not in self.reached:
                self.reached[stage] = now
                self._deadline = now + (self._limits.pull if stage == "scheduled" else self._limits.lab)
        self._problem = find_problem(pod, events) if pod else None
        if self._problem is None:
            self._timer.reset()
        elif self._timer.has_expired(self._problem, now):
            raise SpawnFailedError(self._problem.diagnosis)

    def check_deadline(self, events: Sequence[PodEvent], now: float) -> None:
        """Check that the deadline of the start has not passed.

        Raises
        ------
        SpawnFailedError
            Raised after the deadline. The error contains the current problem, or else the last warning among the
            events.
        """
        if now <= self._deadline:
            return
        if self._problem:
            raise SpawnFailedError(self._problem.diagnosis)
        warnings = [event.message for event in events if event.type == "Warning" and event.message]
        detail = warnings[-1] if warnings else f"Last stage: {STAGE_MESSAGES[self._stage]}"
        raise SpawnFailedError(diagnose("timeout", detail))
