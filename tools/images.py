"""Build the image of one component with the Docker SDK: `nox -s "build(COMPONENT)"`.

The image's name is the title label of its Dockerfile, its tag the project's version, which the manifests name; `latest`
is the same image.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import docker
from docker.errors import APIError, DockerException

from tools.components import image_name, version

ROOT = Path(__file__).parents[1]


class BuildError(Exception):
    """The image cannot be built; the message says why."""


def engine() -> docker.DockerClient:
    """Connect to the Docker engine."""
    try:
        client = docker.from_env(timeout=1200)
        client.ping()
    except DockerException as error:
        raise BuildError(
            "no Docker engine answers: install and start one (Debian: apt install docker.io), "
            f"or set DOCKER_HOST ({error})"
        ) from error
    return client


def revision() -> str:
    """Give the commit that is built, if it is a checkout."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def build(component: str, tag: str, arguments: dict[str, str]) -> str:
    """Build one image; give its name with the tag.

    Raises
    ------
    BuildError
        No engine answers, or a step failed: the message then holds the build's whole log.
    """
    name = image_name(component)
    client = engine()
    log: list[str] = []
    failure = ""
    try:
        stream = client.api.build(
            path=str(ROOT / component),
            tag=f"{name}:{tag}",
            buildargs={"VERSION": tag, "REVISION": revision(), **arguments},
            rm=True,
            decode=True,
        )
        for event in stream:
            failure = event.get("error", failure)
            text = event.get("stream", "")
            log.append(text)
            if text.startswith("Step "):
                print(f"  {text.strip()}", flush=True)
    except APIError as error:
        failure = error.explanation or str(error)
    if failure:
        raise BuildError(f"{component}: {failure}\n\nThe build's log:\n{''.join(log)}")
    if tag == version():
        client.images.get(f"{name}:{tag}").tag(name, "latest")
    return f"{name}:{tag}"


def build_argument(text: str) -> tuple[str, str]:
    """Parse NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted NAME=VALUE")
    return name, value


def main() -> None:
    """Build what the command line names; a failure ends with its reason."""
    parser = argparse.ArgumentParser(prog="nox -s build --", description=__doc__)
    parser.add_argument("component")
    parser.add_argument("--tag", default=version(), help="the tag to give (%(default)s, and then latest, too)")
    parser.add_argument("--build-arg", type=build_argument, action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    start = time.monotonic()
    try:
        name = build(options.component, options.tag, dict(options.build_arg))
    except BuildError as error:
        sys.exit(f"build: {error}")
    print(f"built {name} in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
