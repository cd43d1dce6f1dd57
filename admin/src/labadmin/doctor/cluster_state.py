"""The state of the cluster that the checks read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labadmin.kubectl import Answer
from labadmin.objects import NAMESPACE, Objects, look_up

DEFAULT_GITHUB = "https://github.com"


@dataclass(frozen=True)
class ClusterState:
    """All objects that were read from the cluster, and the answers of the experiments.

    Attributes
    ----------
    now
        Time of this machine when the objects were read, in seconds (Unix time).
    version
        Output of `kubectl version`.
    unread
        Kinds of objects that could not be read, each with the reason.
    answers
        Answers of the experiments, by the experiment's name. An experiment that does not apply has no answer.
    logs
        Last lines of failed containers, by `<pod>/<container>`.
    """

    objects: Objects
    now: float
    version: Mapping[str, Mapping[str, str]]
    unread: tuple[str, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)

    @property
    def callback(self) -> str:
        """The URL to which GitHub redirects users."""
        return self.objects.settings("hub").get("OAUTH_CALLBACK_URL", "")

    @property
    def hub_image(self) -> str:
        """The image of the deployed hub. The probe uses the same image."""
        hub = self.objects.find("Deployment", "hub", NAMESPACE)
        containers = look_up(hub, "spec", "template", "spec", "containers", default=[])
        return next((str(container["image"]) for container in containers if container["name"] == "hub"), "")
