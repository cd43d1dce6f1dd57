"""What is known of a deployment before anything is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labadmin.doctor.kubectl import Answer
from labadmin.doctor.objects import NAMESPACE, Objects, look_up

DEFAULT_GITHUB = "https://github.com"


@dataclass(frozen=True)
class ClusterState:
    """All of it.

    Attributes
    ----------
    now
        This machine's time when the objects were read.
    version
        What `kubectl version` says.
    unread
        What could not be read, and why.
    answers
        What experiments said, by their names; one that did not apply is not there.
    logs
        Last lines of containers that do not run, by `<pod>/<container>`.
    """

    objects: Objects
    now: float
    version: Mapping[str, Mapping[str, str]]
    unread: tuple[str, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)

    @property
    def callback(self) -> str:
        """Where GitHub sends people back to."""
        return self.objects.settings("hub").get("OAUTH_CALLBACK_URL", "")

    @property
    def hub_image(self) -> str:
        """The image of the deployed hub: the probe runs in it, too."""
        hub = self.objects.find("Deployment", "hub", NAMESPACE)
        found = look_up(hub, "spec", "template", "spec", "containers", default=[])
        return next((str(one["image"]) for one in found if one["name"] == "hub"), "")
