"""The liveness probe `/hub/live`."""

from __future__ import annotations

from collections.abc import Iterable

from jupyterhub.handlers.pages import HealthCheckHandler  # type: ignore[import-untyped]

from labhub.labs.reflector import Reflector
from labhub.web.app_protocol import HubApp

# A reflector counts as dead after this time in seconds without an attempt. A working reflector tries to reach the
# Kubernetes API at least every 40 s.
IDLE_SECONDS_MAX = 120


def find_dead_reflector(reflectors: Iterable[Reflector]) -> str:
    """Return a message about the first reflector that no longer queries the Kubernetes API, or an empty string."""
    for reflector in reflectors:
        if reflector.idle > IDLE_SECONDS_MAX:
            return f"the watch of {reflector.kind} has made no attempt for {reflector.idle:.0f} s"
    return ""


class LiveHandler(HealthCheckHandler):  # type: ignore[misc]  # untyped
    """Handler of the liveness probe. If a reflector is dead, the probe fails, so that kubelet restarts the hub.

    If the Kubernetes API is unavailable, the probe still succeeds. A restart of the hub would not help, and would
    interrupt the hub's users.
    """

    app: HubApp

    def get(self) -> None:
        """Answer 200 while all reflectors work, even if the Kubernetes API does not answer."""
        problem = find_dead_reflector((self.app.launcher.pods, self.app.launcher.events))
        if problem:
            self.set_status(503)
        self.finish(f"{problem or 'alive'}\n")
