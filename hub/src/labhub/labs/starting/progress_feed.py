"""The progress events of a start, which JupyterHub sends to the progress page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from labhub.labs.pod_status import STAGE_MESSAGES, find_stage
from labhub.labs.starting.start_problem import find_problem
from labhub.models.pod_events import PodEvent
from labhub.models.pod_types import STAGES, Pod


class ProgressFeed:
    """The progress events of one start, without repetitions.

    JupyterHub defines the keys `progress` (a percentage) and `message`. An event about the state of the start has a
    message of two parts. The keys `notice` and `detail` contain these parts for the hub's progress page. An event with
    a message of Kubernetes lacks these keys.

    Parameters
    ----------
    node_limit
        Time limit of the wait for a node, as text for the page, for example `2 hours`.
    """

    def __init__(self, node_limit: str) -> None:
        self._node_limit = node_limit
        self._seen: set[str] = set()
        self._shown = ("", "")

    def update(
        self, pod: Pod | None, events: Sequence[PodEvent], delay: str = "", delay_detail: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Yield the progress events that are new since the last call.

        Parameters
        ----------
        pod
            The pod, if it exists.
        events
            Events of the pod, oldest first.
        delay
            Text about the reason why the hub has not created the pod yet. Empty without such a reason.
        delay_detail
            Details of the reason in `delay`.
        """
        percent = 20 * (1 + STAGES.index(find_stage(pod, events)))
        for event in events:
            if event.message and event.message not in self._seen:
                self._seen.add(event.message)
                yield {"progress": percent, "message": event.message}
        shown = (delay, delay_detail) if delay else self._describe(pod, events)
        if shown != self._shown:  # send a notice again only after another notice
            self._shown = shown
            notice, detail = shown
            yield {"progress": percent, "message": f"{notice} {detail}".strip(), "notice": notice, "detail": detail}

    def _describe(self, pod: Pod | None, events: Sequence[PodEvent]) -> tuple[str, str]:
        """Return a text about the problem or the stage of the start, and Kubernetes' message about the problem."""
        problem = find_problem(pod, events) if pod else None
        if problem and problem.notice:
            return problem.notice.format(limit=self._node_limit), problem.detail
        return STAGE_MESSAGES[find_stage(pod, events)], ""
