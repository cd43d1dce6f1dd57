"""Complaints about manifests that violate a rule, and the exceptions that a manifest declares in comments."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.manifests.manifest import Block, Folder, Manifest, part

EXCEPTION = re.compile(r"exception ([a-z-]+): \S+")


@dataclass(frozen=True)
class Complaint:
    """A violation of a rule by a manifest.

    Attributes
    ----------
    about
        The manifest, or a path if the complaint concerns a whole file.
    block
        The block of the manifest that violates the rule. None means the whole object.
    """

    about: Manifest | Path
    message: str
    block: Block | None = None

    def __str__(self) -> str:
        line = f", line {self.block.first}" if self.block else ""
        return f"{self.about}{line}: {self.message}"

    @property
    def exceptions(self) -> set[str]:
        """The names of the rules for which comments in or above the block declare an exception."""
        if isinstance(self.about, Path):
            return set()
        return exceptions(self.about.comments(self.block or self.about.body))


def exceptions(comments: list[str]) -> set[str]:
    """Return the names of the rules for which comments declare an exception with a reason."""
    return {match[1] for match in map(EXCEPTION.match, comments) if match}


Rule = Callable[[Folder], Iterator[Complaint]]


def selects(selector: Block, manifest: Manifest) -> bool:
    """Return whether a label selector matches the pods that a workload creates."""
    if manifest.template is None:
        return False
    return bool(selector) and selector.items() <= part(manifest.template, "metadata", "labels").items()


def each_container(folder: Folder) -> Iterator[tuple[Manifest, Block]]:
    """Return all containers in the manifests of a folder, each with the manifest of its workload."""
    return ((manifest, container) for manifest in folder.manifests for container in manifest.containers)


def in_container(folder: Folder, key: str, wanted: object) -> Iterator[Complaint]:
    """Yield a complaint for each container whose security context does not have the wanted value for a key."""
    for manifest, container in each_container(folder):
        if (found := part(container, "securityContext").get(key)) != wanted:
            yield Complaint(manifest, f"{container.get('name')}: {key}: found {found}, wanted {wanted}", container)


def in_pod_or_container(folder: Folder, key: str, wanted: object) -> Iterator[Complaint]:
    """Yield a complaint for each container for which a key of the security context does not have the wanted value.

    The security context of the container takes precedence over the security context of the pod.
    """
    for manifest, container in each_container(folder):
        assert manifest.pod is not None
        default = part(manifest.pod, "securityContext").get(key)
        if (found := part(container, "securityContext").get(key, default)) != wanted:
            yield Complaint(manifest, f"{container.get('name')}: {key}: found {found}, wanted {wanted}", container)
