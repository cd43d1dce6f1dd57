"""The images of stock JupyterHub with KubeSpawner, and its deployment on the cluster. See stock-hub/Dockerfile."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from docker.errors import BuildError, DockerException, ImageNotFound
from labtesting import cluster
from labtesting.cluster import kubectl
from labtesting.hub_process import wait_until

from tools.components import ROOT
from tools.images import engine

FOLDER = Path(__file__).parent / "stock-hub"
NAMESPACE = "spawn-bench"
URL = "http://127.0.0.1:30081"
PARTS = ("hub", "proxy", "lab")


class StockError(Exception):
    """The error if stock JupyterHub cannot be built or deployed. The message has the reason."""


@dataclass(frozen=True)
class Stock:
    """A running stock JupyterHub."""

    token: str

    def stop(self, name: str) -> None:
        """Stop the lab of a user."""
        headers = {"Authorization": f"token {self.token}"}
        httpx.delete(f"{URL}/hub/api/users/{name}/server", headers=headers, timeout=120).raise_for_status()


def inputs() -> dict[str, str]:
    """Return the files for the build: the Dockerfile, and constraints with the package versions of our images."""
    files = {"Dockerfile": (FOLDER / "Dockerfile").read_text()}
    for name, component in {"hub": "hub", "lab": "jupyterlab"}.items():
        lock = (ROOT / component / "requirements.txt").read_text()
        files[f"{name}.txt"] = re.sub(r" \\\n *--hash=[^\n]+|\n *#[^\n]*", "", lock)
    return files


def proxy_version() -> str:
    """Return the version of configurable-http-proxy in our lock file."""
    lock = json.loads((ROOT / "hub" / "proxy" / "package-lock.json").read_text())
    version: str = lock["packages"]["node_modules/configurable-http-proxy"]["version"]
    return version


def image_names() -> dict[str, str]:
    """Return the image name of each part. The tag is a hash of the build's files and versions."""
    tag = hashlib.sha256(json.dumps([inputs(), proxy_version()]).encode()).hexdigest()[:12]
    return {part: f"spawn-bench-{part}:{tag}" for part in PARTS}


def build(names: dict[str, str]) -> None:
    """Build the images that the Docker engine does not have.

    Raises
    ------
    StockError
        Raised if the build of an image fails.
    """
    files, client = inputs(), engine()
    with TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text)
        for part, image in names.items():
            if client.images.list(image):
                continue
            print(f"building the image of stock's {part} ...", flush=True)
            arguments = {"PROXY_VERSION": proxy_version()}
            try:
                client.images.build(path=folder, tag=image, target=part, buildargs=arguments, rm=True)
            except BuildError as error:
                log = "".join(line.get("stream", "") for line in error.build_log)
                raise StockError(f"cannot build the image of stock's {part}: {error}\n{log}") from error
            except DockerException as error:
                raise StockError(f"cannot build the image of stock's {part}: {error}") from error


def remove(names: dict[str, str]) -> None:
    """Remove the images from the Docker engine.

    The cluster's nodes later remove unused images without this function.
    """
    client = engine()
    for image in names.values():
        with suppress(ImageNotFound):
            client.images.remove(image)


def load(names: dict[str, str], command: str) -> None:
    """Load images into the cluster's node, except those that the node already has.

    Raises
    ------
    StockError
        Raised if an image is missing on the node and `command` is empty.
    """
    present = {name for image in cluster.get("nodes")[0]["status"]["images"] for name in image.get("names") or []}
    for image in names.values():
        if any(name == image or name.endswith(f"/{image}") for name in present):
            continue
        if not command:
            hint = "add --load COMMAND, for example --load 'kind load docker-image'"
            raise StockError(f"the node of the cluster has no image {image}, {hint}")
        print(f"loading {image} ...", flush=True)
        subprocess.run([*shlex.split(command), image], check=True)


def is_up() -> bool:
    """Return whether the hub answers through the proxy."""
    try:
        return httpx.get(f"{URL}/hub/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def deploy(names: dict[str, str]) -> Iterator[Stock]:
    """Run stock JupyterHub until the end of the block."""
    token = secrets.token_hex(32)
    text = (FOLDER / "manifests.yaml").read_text().replace("SECRET", token)
    for part, image in names.items():
        text = text.replace(f"IMAGE_{part.upper()}", image)
    try:
        kubectl("apply", "--filename", "-", stdin=text)
        for part in ("proxy", "hub"):
            kubectl("rollout", "status", f"deployment/{part}", "--namespace", NAMESPACE, "--timeout=90s")
        cluster.wait_for_kube_proxy()
        wait_until(is_up, "stock's hub and proxy answer")
        yield Stock(token)
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
