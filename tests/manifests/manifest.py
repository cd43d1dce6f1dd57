"""Manifests as found on disk, each mapping with the lines it stands on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

POD_OWNERS = ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job", "CronJob")
ENDS_BY_ITSELF = {"Job", "CronJob"}


class Block(dict[str, Any]):
    """A mapping of a YAML file.

    Attributes
    ----------
    first, last
        Its lines, counted from 1.
    lines
        The line of each key.
    """

    first: int
    last: int
    lines: dict[str, int]


class _Loader(yaml.SafeLoader):
    """Reads every mapping as a Block."""


def _block(loader: _Loader, node: yaml.MappingNode) -> Block:
    block = Block({str(key): value for key, value in loader.construct_mapping(node, deep=True).items()})
    # A block ends where the next thing starts, so the last line is that of its last value.
    block.first, block.last = node.start_mark.line + 1, max(node.start_mark.line, _last_line(node)) + 1
    block.lines = {key.value: key.start_mark.line + 1 for key, _ in node.value}
    return block


def _last_line(node: yaml.Node) -> int:
    if isinstance(node, yaml.ScalarNode) or not node.value:
        return int(node.end_mark.line)
    last = node.value[-1]
    return _last_line(last[1] if isinstance(last, tuple) else last)


_Loader.add_constructor("tag:yaml.org,2002:map", _block)


def read_documented(page: Path) -> list[dict[str, Any]]:
    """Give the objects that a page of the documentation shows."""
    blocks = re.findall(r"^```yaml\n(.+?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [found for block in blocks for found in yaml.safe_load_all(block)]


@dataclass(frozen=True)
class Manifest:
    """One object of one file.

    Attributes
    ----------
    file
        Relative to the repository.
    text
        The lines of the file.
    """

    file: Path
    text: list[str]
    body: Block

    def __str__(self) -> str:
        return f"{self.file}: {self.kind} {self.name}"

    @property
    def kind(self) -> str:
        """The kind of the object, empty if it has none."""
        return str(self.body.get("kind", ""))

    @property
    def name(self) -> str:
        """The name of the object, empty if it has none."""
        return str(self.metadata.get("name", ""))

    @property
    def metadata(self) -> Block:
        """The object's metadata."""
        return part(self.body, "metadata")

    @property
    def template(self) -> Block | None:
        """The pod that the object makes; None: it makes none."""
        if self.kind not in POD_OWNERS:
            return None
        owner = part(self.body, "spec", "jobTemplate") if self.kind == "CronJob" else self.body
        return part(owner, "spec", "template")

    @property
    def pod(self) -> Block | None:
        """The spec of the pod that the object makes; None: it makes none."""
        return None if self.template is None else part(self.template, "spec")

    @property
    def containers(self) -> list[Block]:
        """The containers of that pod, those that run before the others too."""
        pod: dict[str, Any] = self.pod or {}
        return [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]

    def comments(self, block: Block) -> list[str]:
        """Give the comments in a block, and directly above it."""
        return [
            line.split("# ", 1)[1]
            for line in self.text[self._start_above(block.first) - 1 : block.last]
            if "# " in line
        ]

    def comment_beside(self, line: int) -> bool:
        """Tell whether a line has a comment, at its end or directly above."""
        return " # " in self.text[line - 1] or self._start_above(line) < line

    def _start_above(self, line: int) -> int:
        while line > 1 and self.text[line - 2].lstrip().startswith("# "):
            line -= 1
        return line


def part(block: Block, *keys: str) -> Block:
    """Give a mapping inside a mapping; where there is none, an empty one that stands where it would."""
    for key in keys:
        found = block.get(key)
        if not isinstance(found, Block):
            found = Block()
            found.first = found.last = block.lines.get(key, block.first)
            found.lines = {}
        block = found
    return block


@dataclass(frozen=True)
class Folder:
    """All the manifests of one component.

    Attributes
    ----------
    path
        `<component>/kubernetes`.
    root
        The repository.
    """

    path: Path
    root: Path
    manifests: list[Manifest]

    @property
    def files(self) -> Iterator[Path]:
        """The files of the folder, and only of the folder itself: what kubectl looks at."""
        return (file for file in sorted(self.path.iterdir()) if file.is_file())


def read_folder(path: Path, root: Path) -> Folder:
    """Read a folder of manifests."""
    manifests = []
    for file in sorted(path.glob("*.yaml")):
        text = file.read_text()
        bodies = [body for body in yaml.load_all(text, _Loader) if isinstance(body, Block)]
        manifests += [Manifest(file.relative_to(root), text.splitlines(), body) for body in bodies]
    return Folder(path, root, manifests)


def find_folders(root: Path) -> list[Path]:
    """Find the folders of manifests in the repository."""
    return sorted({file.parent for file in root.glob("*/kubernetes/*")})


def find_alternatives(root: Path) -> list[Path]:
    """Find the folders that are applied in a component's folder's place, or beside it."""
    return sorted({file.parent for file in root.glob("*/alternatives/*/*.yaml")})
