"""The state of the cluster that the checks read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from labadmin.doctor.kubectl import Answer
from labadmin.doctor.objects import NAMESPACE, Objects, look_up

DEFAULT_GITHUB = "https://github.com"


@dataclass(frozen=True)
class ClusterState:
    """Everything that was read of the cluster, and the answers to all experiments.

    Attributes
    ----------
    now
        Time of this machine, in seconds, when the objects were read.
    version
        Output of `kubectl version`.
    unread
        Kinds that could not be read, each with the reason.
    answers
        Answers to the experiments, by name, without those that do not apply.
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
        """The image of the deployed hub, which the probe uses, too."""
        hub = self.objects.find("Deployment", "hub", NAMESPACE)
        found = look_up(hub, "spec", "template", "spec", "containers", default=[])
        return next((str(one["image"]) for one in found if one["name"] == "hub"), "")
