"""A second node of the cluster. A program on the developer's machine starts and kills the node.

The environment variable SECOND_NODE contains the program and the program's first arguments. docs/dev/faults.md, "A
second node", lists the commands that the program needs.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from labtesting import cluster
from labtesting.cluster import kubectl
from labtesting.hub_process import wait_until
from labtesting.needs import skip_or_fail

# Timeout of one command in seconds. A slow node needs three minutes to unpack the lab's image.
COMMAND_SECONDS = 800
# File on the node's disk with the id of the image that the node has. A test loads the lab's image only if the id
# differs, because this takes minutes.
STAMP = "/var/lib/kubelet/jupyterlabdemo-test-image"
# Label of nodes that mount NFS through kubelet
NFS_LABEL = "jupyterlabdemo/nfs=true"


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

    def run(self, script: str) -> str:
        """Run a shell script on the node, as root, and return its output."""
        return _call(self.program, "run", "sh", "-ec", script)

    def load(self, image: str) -> None:
        """Copy an image to the node, unless the node has the same image from an earlier test."""
        wanted = _call(("docker", "image", "inspect"), "--format", "{{.Id}}", image).strip()
        if self.run(f"cat {STAMP} 2>/dev/null || true").strip() != wanted:
            _call(self.program, "load", image)
            # The image must be on the disk before the power is cut.
            self.run(f"sync; echo {wanted} >{STAMP}; sync")

    def kill(self) -> None:
        """Cut the power of the node."""
        _call(self.program, "kill")

    def is_ready(self) -> bool:
        """Return whether Kubernetes reports that the node is ready."""
        conditions = cluster.get("node", self.name)["status"]["conditions"]
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _call(program: tuple[str, ...], *arguments: str) -> str:
    command = [*program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, f"{shlex.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


def need_second_node() -> tuple[str, ...]:
    """Return the program in SECOND_NODE. If the variable is not set, the test is skipped, or fails in CI."""
    program = tuple(shlex.split(os.environ.get("SECOND_NODE", "")))
    if not program:
        skip_or_fail("the variable SECOND_NODE", "set it to a program that starts and kills a node: docs/dev/faults.md")
    return program


@contextmanager
def run_second_node(program: tuple[str, ...], image: str) -> Iterator[SecondNode]:
    """Start the second node with an image, and remove the node from the cluster at the end of the block.

    The disk of the node stays, so the next test that starts the node does not load the same image again.
    """
    _call(program, "start")
    # kubectl lists nodes in alphabetical order, and the first one runs the site.
    node = SecondNode(program, cluster.get("nodes")[-1]["metadata"]["name"])
    assert node.name != first_node(), "the program has started no second node"
    try:
        wait_until(node.is_ready, f"{node.name} is ready")
        kubectl("uncordon", node.name)
        node.load(image)
        yield node
    finally:
        node.kill()
        kubectl("delete", "node", node.name)


def first_node() -> str:
    """Return the name of the node that runs the site."""
    return str(cluster.get("nodes")[0]["metadata"]["name"])


@contextmanager
def cordoned(*nodes: str) -> Iterator[None]:
    """Cordon nodes, so that no new pod starts on them until the end of the block."""
    kubectl("cordon", *nodes)
    try:
        yield
    finally:
        kubectl("uncordon", *nodes)


@contextmanager
def find_nfs_node(image: str) -> Iterator[str]:
    """Yield the name of a node that mounts NFS and has an image: the second node, or a node with the label `NFS_LABEL`.

    Without such a node the test is skipped, or fails in CI.
    """
    with ExitStack() as stack:
        if os.environ.get("SECOND_NODE"):
            stack.enter_context(run_second_node(need_second_node(), image))
        names = {node["metadata"]["name"] for node in cluster.get("nodes", selector=NFS_LABEL)} - {first_node()}
        if not names:
            skip_or_fail("a node that mounts NFS", f"label it {NFS_LABEL}, or set SECOND_NODE: docs/dev/faults.md")
        yield min(names)


@contextmanager
def only_on(node: str) -> Iterator[None]:
    """Uncordon a node and cordon all others, so that new pods start only on this node until the end of the block."""
    others = [each["metadata"]["name"] for each in cluster.get("nodes") if each["metadata"]["name"] != node]
    with cordoned(*others):
        kubectl("uncordon", node)
        try:
            yield
        finally:
            kubectl("cordon", node)
