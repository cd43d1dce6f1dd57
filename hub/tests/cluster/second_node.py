"""A second node that a test starts and kills, with a program of the developer's machine.

The environment variable SECOND_NODE has the program and its first arguments. docs/dev/faults.md, "A second node", lists
the commands that the program needs.
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

# Timeout of one command in seconds. A slow node needs three minutes to unpack the image of the lab.
COMMAND_SECONDS = 800
LAB_IMAGE = f"lsstsqre/jupyterlabdemo:{version()}"


@dataclass(frozen=True)
class SecondNode:
    """The second node of the cluster.

    Attributes
    ----------
    program
        Command that starts and kills the node.
    name
        Name of the node in the cluster.
    """

    program: tuple[str, ...]
    name: str

    def run(self, script: str) -> None:
        """Run a shell script on the node, as root."""
        _call(self.program, "run", "sh", "-ec", script)

    def create_home(self, account: Account) -> None:
        """Create the home of a user. The node has its own homes, because pods cannot mount those of the first node."""
        self.run(f"install -d -m 700 -o {account.id} -g {account.id} {STORAGE}/home/{account.id}")

    def kill(self) -> None:
        """Cut the power of the node."""
        _call(self.program, "kill")

    def is_ready(self) -> bool:
        """Return whether Kubernetes considers the node ready."""
        conditions = cluster.get("node", self.name)["status"]["conditions"]
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _call(program: tuple[str, ...], *arguments: str) -> None:
    command = [*program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stdout}{done.stderr}"


def need_second_node() -> tuple[str, ...]:
    """Return the program that starts and kills the second node. Without it the test is skipped, or fails in CI."""
    program = tuple(shlex.split(os.environ.get("SECOND_NODE", "")))
    if not program:
        skip_or_fail("the variable SECOND_NODE", "set it to a program that starts and kills a node: docs/dev/faults.md")
    return program


@contextmanager
def run_second_node(program: tuple[str, ...]) -> Iterator[SecondNode]:
    """Start the second node with the image of the lab and empty homes, and remove it from the cluster at the end."""
    try:
        _call(program, "start")
        # kubectl lists nodes in alphabetical order, and the first one runs the site.
        node = SecondNode(program, cluster.get("nodes")[-1]["metadata"]["name"])
        assert node.name != first_node(), "the program has started no second node"
        wait_until(node.is_ready, f"{node.name} is ready")
        _call(program, "load", LAB_IMAGE)
        node.run(f"mkdir -p {STORAGE}; mount -t tmpfs none {STORAGE}; mkdir {STORAGE}/home {STORAGE}/project")
        yield node
    finally:
        _call(program, "stop")


def first_node() -> str:
    """Return the name of the node that runs the site."""
    return str(cluster.get("nodes")[0]["metadata"]["name"])


@contextmanager
def cordoned(node: str) -> Iterator[None]:
    """Let a node accept no new pods until the end of the block."""
    kubectl("cordon", node)
    try:
        yield
    finally:
        kubectl("uncordon", node)
