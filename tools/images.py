"""Build the image of one component with the Docker SDK: `nox -s "build(COMPONENT)"`.

The image's name is the title label of its Dockerfile, its tag the project's version, which the manifests name; `latest`
is the same image.

filebeat's is made from Elastic's. Where that can be neither found nor pulled, and the tests do not ask for it
(SHIPPER_IMAGE), it is left out with one line; what takes its place in tests, testing/shipper, is always built with it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from tools.components import SHIPPER, image_name, shipper_image, stand_in, version

ROOT = Path(__file__).parents[1]
BASE = re.compile(r"^ARG FILEBEAT_IMAGE=(\S+)$", re.MULTILINE)


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


def build_stand_in() -> str:
    """Build the stand-in for filebeat, whose program is built here; give its name with the tag.

    Raises
    ------
    BuildError
        There is no Go, no engine, or the build failed.
    """
    source = ROOT / "testing" / "shipper"
    if shutil.which("go") is None:
        raise BuildError("no Go, which the stand-in for filebeat is built with: apt install golang-go")
    with TemporaryDirectory() as folder:
        environ = os.environ | {"CGO_ENABLED": "0"}
        program = ["go", "build", "-trimpath", "-o", f"{folder}/filebeat", "."]
        if subprocess.run(program, cwd=source, env=environ, check=False).returncode:
            raise BuildError("the stand-in for filebeat: `go build` failed, see above")
        shutil.copy(source / "Dockerfile", folder)
        try:
            engine().images.build(path=folder, tag=stand_in(), rm=True)
        except DockerException as error:
            raise BuildError(f"the stand-in for filebeat: {error}") from error
    return stand_in()


def missing_base(arguments: dict[str, str]) -> str | None:
    """Give the image that filebeat's is made from, if it can be neither found nor pulled."""
    found = BASE.search((ROOT / SHIPPER / "Dockerfile").read_text())
    base = arguments.get("FILEBEAT_IMAGE") or (found[1] if found else "")
    client = engine()
    try:
        client.images.get(base)
    except ImageNotFound:
        try:
            client.images.pull(base)
        except DockerException:
            return base
    return None


def build_shipper(tag: str, arguments: dict[str, str]) -> str:
    """Build filebeat's image if it can be had, and the stand-in if that is what tests use; say what was done.

    Raises
    ------
    BuildError
        What was to be built cannot be.
    """
    done = []
    if base := missing_base(arguments):
        if shipper_image() != stand_in():
            raise BuildError(f"{SHIPPER}: {base} can be neither found nor pulled, and SHIPPER_IMAGE asks for it")
        done.append(f"no image of {SHIPPER}: {base}, which it is made from, can be neither found nor pulled")
    else:
        done.append(build(SHIPPER, tag, arguments))
    if shipper_image() == stand_in():
        done.append(f"{build_stand_in()}, which stands in for it in tests")
    return "; ".join(done)


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
        made = build_shipper if options.component == SHIPPER else partial(build, options.component)
        name = made(options.tag, dict(options.build_arg))
    except BuildError as error:
        sys.exit(f"build: {error}")
    print(f"built {name} in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
