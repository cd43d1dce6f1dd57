"""Manifests that are read from files, with the line numbers of each mapping."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

POD_OWNERS = ("Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "Job", "CronJob")
RUN_TO_COMPLETION = {"Job", "CronJob"}


class Block(dict[str, Any]):
    """A mapping in a YAML file, with its line numbers.

    Attributes
    ----------
    first, last
        Numbers of the first and last line, counted from 1.
    lines
        Line number of each key.
    """

    first: int
    last: int
    lines: dict[str, int]


class _Loader(yaml.SafeLoader):
    """A loader that constructs a Block for each mapping."""


def _block(loader: _Loader, node: yaml.MappingNode) -> Block:
    block = Block({str(key): value for key, value in loader.construct_mapping(node, deep=True).items()})
    # The end that PyYAML reports for a block is the start of the next token. So use the last line of the block's last
    # value.
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
    """Return the Kubernetes objects in the fenced YAML blocks of a documentation page."""
    blocks = re.findall(r"^```yaml\n(.+?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [body for block in blocks for body in yaml.safe_load_all(block)]


@dataclass(frozen=True)
class Manifest:
    """A Kubernetes object in a manifest file.

    Attributes
    ----------
    file
        Path of the file, relative to the repository.
    text
        Lines of the whole file.
    body
        The Kubernetes object.
    """

    file: Path
    text: list[str]
    body: Block

    def __str__(self) -> str:
        return f"{self.file}: {self.kind} {self.name}"

    @property
    def kind(self) -> str:
        """The kind of the object. Empty if the object has no kind."""
        return str(self.body.get("kind", ""))

    @property
    def name(self) -> str:
        """The name of the object. Empty if the object has no name."""
        return str(self.metadata.get("name", ""))

    @property
    def metadata(self) -> Block:
        """The metadata of the Kubernetes object."""
        return part(self.body, "metadata")

    @property
    def template(self) -> Block | None:
        """The pod template of the object, or None if the object creates no pods."""
        if self.kind not in POD_OWNERS:
            return None
        owner = part(self.body, "spec", "jobTemplate") if self.kind == "CronJob" else self.body
        return part(owner, "spec", "template")

    @property
    def pod(self) -> Block | None:
        """The pod spec of the object, or None if the object creates no pods."""
        return None if self.template is None else part(self.template, "spec")

    @property
    def containers(self) -> list[Block]:
        """The init containers and containers of the pod spec."""
        pod: dict[str, Any] = self.pod or {}
        return [*(pod.get("initContainers") or []), *(pod.get("containers") or [])]

    def comments(self, block: Block) -> list[str]:
        """Return the comments inside a block and directly above it."""
        return [
            line.split("# ", 1)[1]
            for line in self.text[self._start_above(block.first) - 1 : block.last]
            if "# " in line
        ]

    def comment_beside(self, line: int) -> bool:
        """Return whether a line has a comment at its end, or a comment line directly above."""
        return " # " in self.text[line - 1] or self._start_above(line) < line

    def _start_above(self, line: int) -> int:
        while line > 1 and self.text[line - 2].lstrip().startswith("# "):
            line -= 1
        return line


def part(block: Block, *keys: str) -> Block:
    """Return the nested mapping at a path of keys. If the mapping does not exist, return an empty Block.

    The empty Block has the line of the key, or of the mapping that should contain the key.
    """
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
    """The manifests of a component.

    Attributes
    ----------
    path
        Path of the folder, usually `<component>/kubernetes`.
    root
        Path of the repository.
    """

    path: Path
    root: Path
    manifests: list[Manifest]

    @property
    def files(self) -> Iterator[Path]:
        """The files of the folder. Subfolders are omitted, because `kubectl apply -f` does not read them."""
        return (file for file in sorted(self.path.iterdir()) if file.is_file())


def read_folder(path: Path, root: Path) -> Folder:
    """Read all manifests in a folder."""
    manifests = []
    for file in sorted(path.glob("*.yaml")):
        text = file.read_text()
        bodies = [body for body in yaml.load_all(text, _Loader) if isinstance(body, Block)]
        manifests += [Manifest(file.relative_to(root), text.splitlines(), body) for body in bodies]
    return Folder(path, root, manifests)


def find_folders(root: Path) -> list[Path]:
    """Find all folders `<component>/kubernetes` in the repository."""
    return sorted({file.parent for file in root.glob("*/kubernetes/*")})


def find_alternatives(root: Path) -> list[Path]:
    """Find all folders `<component>/alternatives/<name>` with manifests in the repository."""
    return sorted({file.parent for file in root.glob("*/alternatives/*/*.yaml")})
