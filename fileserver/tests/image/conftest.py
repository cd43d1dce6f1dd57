"""Fixtures that run the image like the fileserver's pod: two containers with one address and one volume.

A third container keeps the network address, so that the address stays the same when the server is killed.
"""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from labtesting.container import Container, engine, run_container
from labtesting.fileserver import TOKEN, root_command
from labtesting.hub_process import wait_until
from labtesting.needs import need_program

PYTHON = "/opt/labfiles/bin/python"
SERVER_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "SETGID", "SETUID"]
LABFILES_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER"]


@dataclass(frozen=True)
class Pod:
    """The two containers of the fileserver's pod.

    Attributes
    ----------
    address
        The common IP address of both containers.
    server
        The container with Ganesha.
    labfiles
        The container with labfiles.
    options
        Options of Ganesha's container in a new pod, which has another host name.
    """

    address: str
    server: Container
    labfiles: Container
    options: dict[str, Any]

    @property
    def api(self) -> str:
        """The URL of labfiles."""
        return f"http://{self.address}:8080"

    @property
    def answers(self) -> bool:
        """Whether the NFS probe passes in the server's container."""
        return self.server.execute(PYTHON, "-m", "labfiles.nfs")[0] == 0

    def wait_until_ready(self) -> None:
        """Wait until NFS and labfiles answer."""
        wait_until(lambda: self.answers, "NFS answers", 30)
        self.labfiles.wait_for_page(f"http://{self.address}:9465/ready")


def confined(*capabilities: str) -> dict[str, Any]:
    """Return the options that restrict a container like the security context in the manifest."""
    return {
        "read_only": True,
        "cap_drop": ["ALL"],
        "cap_add": list(capabilities),
        "security_opt": ["no-new-privileges"],
        "mem_limit": "1g",
    }


def server_options(image: str, volume: str) -> dict[str, Any]:
    """Return the Docker options of Ganesha's container."""
    options = confined(*SERVER_CAPABILITIES)
    options["security_opt"].append("seccomp=unconfined")  # the launcher in the container loads a seccomp filter
    return {
        **options,
        "image": image,
        "volumes": {volume: {"bind": "/storage", "mode": "rw"}},
        "tmpfs": {"/run/ganesha": "", "/tmp": ""},
    }


@contextmanager
def volume_of(**options: str) -> Iterator[str]:
    """Create a volume, and yield its name. Without options, the volume is a folder on the Docker engine's disk."""
    name = f"fileserver-{uuid.uuid4().hex[:8]}"
    volume = engine().volumes.create(name, driver_opts=options)
    try:
        yield name
    finally:
        volume.remove(force=True)


@contextmanager
def small_disk(folder: Path, size: str, inodes: int) -> Iterator[dict[str, str]]:
    """Create a file with an ext4 file system, and yield the options of a volume on this disk."""
    program = need_program("mkfs.ext4", "/sbin/mkfs.ext4", how="apt install e2fsprogs")
    file = folder / "disk"
    subprocess.run(["truncate", f"--size={size}", file], check=True)
    # `-m 0` reserves no blocks for root. So when users fill the disk, root cannot write to it either.
    subprocess.run([program, "-q", "-m", "0", "-N", str(inodes), file], check=True)
    losetup = [*root_command(), "losetup"]
    device = subprocess.run(
        [*losetup, "--find", "--show", file], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        yield {"type": "ext4", "device": device}
    finally:
        subprocess.run([*losetup, "--detach", device], check=True)


@contextmanager
def run_pod(image: str, volume: str, tokens: Path) -> Iterator[Pod]:
    """Run both containers of the pod, and a third container that keeps their address."""
    (tokens / "token").write_text(TOKEN)
    tokens.chmod(0o755)
    with ExitStack() as stack:
        holder = stack.enter_context(run_container(image, "300000", entrypoint="/bin/sleep", init=True))
        network: dict[str, Any] = {"network_mode": f"container:{holder.docker.id}"}
        server = stack.enter_context(run_container(**server_options(image, volume), **network))
        labfiles = stack.enter_context(
            run_container(
                image,
                "labfiles",
                environment={"LABFILES_TOKEN_FILE": "/run/token/token", "LABFILES_USAGE_SECONDS": "1"},
                volumes={
                    volume: {"bind": "/storage", "mode": "rw"},
                    str(tokens): {"bind": "/run/token", "mode": "ro"},
                },
                **confined(*LABFILES_CAPABILITIES),
                **network,
            )
        )
        options = {**server_options(image, volume), **network, "uts_mode": "host"}
        pod = Pod(holder.address, server, labfiles, options)
        pod.wait_until_ready()
        yield pod


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    """Return the name of the image under test."""
    return str(request.config.getoption("--image"))


@pytest.fixture(scope="module")
def pod(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """Run both containers of the pod on a new volume."""
    with volume_of() as volume, run_pod(image, volume, tmp_path_factory.mktemp("tokens")) as running:
        yield running
