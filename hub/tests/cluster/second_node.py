"""A second node of the cluster. A program on the developer's machine starts and kills the node.

The environment variable SECOND_NODE contains the program and the program's first arguments. docs/dev/faults.md, "A
second node", lists the commands that the program must support.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from labtesting import cluster
from labtesting.cluster import kubectl
from labtesting.github import Account
from labtesting.hub_process import wait_until
from labtesting.needs import skip_or_fail

from hub.tests.cluster.node import STORAGE
from tools.components import version

# Timeout of one command in seconds. A slow node needs three minutes to unpack the lab's image.
COMMAND_SECONDS = 800
LAB_IMAGE = f"lsstsqre/jupyterlabdemo:{version()}"


@dataclass(frozen=True)
class SecondNode:
    """The second node of the cluster.

    Attributes
    ----------
    program
        The program on the developer's machine that starts and kills the node, and the program's first arguments.
    name
        Name of the node in the cluster.
    """

    program: tuple[str, ...]
    name: str

    def run(self, script: str) -> None:
        """Run a shell script on the node, as root."""
        _call(self.program, "run", "sh", "-ec", script)

    def create_home(self, account: Account) -> None:
        """Create the home of a user on this node. Pods on this node cannot mount the homes of the first node."""
        self.run(f"install -d -m 700 -o {account.id} -g {account.id} {STORAGE}/home/{account.id}")

    def kill(self) -> None:
        """Kill the node at once, as a power failure does."""
        _call(self.program, "kill")

    def is_ready(self) -> bool:
        """Return whether Kubernetes reports that the node is ready."""
        conditions = cluster.get("node", self.name)["status"]["conditions"]
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _call(program: tuple[str, ...], *arguments: str) -> None:
    command = [*program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stdout}{done.stderr}"


def need_second_node() -> tuple[str, ...]:
    """Return the program that starts and kills the second node. Without SECOND_NODE, skip the test, or fail in CI."""
    program = tuple(shlex.split(os.environ.get("SECOND_NODE", "")))
    if not program:
        skip_or_fail("the variable SECOND_NODE", "set it to a program that starts and kills a node: docs/dev/faults.md")
    return program


@contextmanager
def run_second_node(program: tuple[str, ...]) -> Iterator[SecondNode]:
    """Start the second node with the lab's image and without homes. At the end, remove the node from the cluster."""
    try:
        _call(program, "start")
        # kubectl lists nodes in alphabetical order. The first node runs the hub, so the new node is the last.
        node = SecondNode(program, cluster.get("nodes")[-1]["metadata"]["name"])
        assert node.name != first_node(), "the program has started no second node"
        wait_until(node.is_ready, f"{node.name} is ready")
        _call(program, "load", LAB_IMAGE)
        kubectl("uncordon", node.name)
        node.run(f"mkdir -p {STORAGE}; mount -t tmpfs none {STORAGE}; mkdir {STORAGE}/home {STORAGE}/project")
        yield node
    finally:
        _call(program, "stop")


def first_node() -> str:
    """Return the name of the node on which the hub and the fileserver run."""
    return str(cluster.get("nodes")[0]["metadata"]["name"])


@contextmanager
def cordoned(node: str) -> Iterator[None]:
    """Cordon a node, so that no new pod starts on the node until the end of the `with` block."""
    kubectl("cordon", node)
    try:
        yield
    finally:
        kubectl("uncordon", node)
