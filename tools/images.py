"""Build the image of one component with the Docker SDK: `nox -s "build(COMPONENT)"`.

The name of an image is the title label of its Dockerfile. Its tags are `latest` and the project's version, which the
manifests use.

The image of filebeat is based on Elastic's image. If the engine cannot pull Elastic's image, this program prints the
reason and builds the image of the test shipper instead. If SHIPPER_IMAGE names filebeat's image, a failed pull is an
error, because the tests need that image.
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

from tools.components import SHIPPER, image_name, shipper_for_tests, shipper_image, version

ROOT = Path(__file__).parents[1]
BASE = re.compile(r"^ARG FILEBEAT_IMAGE=(\S+)$", re.MULTILINE)


class BuildError(Exception):
    """An image cannot be built. The message states the reason."""


def engine() -> docker.DockerClient:
    """Connect to the Docker engine, and return its client."""
    try:
        client = docker.from_env(timeout=1200)
        client.ping()
    except DockerException as error:
        raise BuildError(
            "cannot connect to a Docker engine: install and start one (Debian: apt install docker.io), "
            f"or set DOCKER_HOST ({error})"
        ) from error
    return client


def revision() -> str:
    """Return the hash of the current commit, or `unknown` outside a git checkout."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def build(component: str, tag: str, arguments: dict[str, str]) -> str:
    """Build one image, and return its name with the tag.

    Raises
    ------
    BuildError
        Raised if no engine answers or if a step fails. The message then contains the whole log of the build.
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
        raise BuildError(f"{component}: {failure}\n\nLog of the build:\n{''.join(log)}")
    if tag == version():
        client.images.get(f"{name}:{tag}").tag(name, "latest")
    return f"{name}:{tag}"


def build_test_shipper() -> str:
    """Compile the test shipper and build its image, and return the image's name with the tag.

    Raises
    ------
    BuildError
        Raised if Go or the engine is missing, or if the build fails.
    """
    source = ROOT / "testing" / "shipper"
    if shutil.which("go") is None:
        raise BuildError("the test shipper needs Go: apt install golang-go")
    with TemporaryDirectory() as folder:
        environ = os.environ | {"CGO_ENABLED": "0"}
        program = ["go", "build", "-trimpath", "-o", f"{folder}/filebeat", "."]
        if subprocess.run(program, cwd=source, env=environ, check=False).returncode:
            raise BuildError("the test shipper: `go build` failed, see the messages above")
        shutil.copy(source / "Dockerfile", folder)
        try:
            engine().images.build(path=folder, tag=shipper_for_tests(), rm=True)
        except DockerException as error:
            raise BuildError(f"the test shipper: {error}") from error
    return shipper_for_tests()


def missing_base(arguments: dict[str, str]) -> str | None:
    """Return the base image of filebeat if the engine neither has it nor can pull it, else None."""
    default = BASE.search((ROOT / SHIPPER / "Dockerfile").read_text())
    base = arguments.get("FILEBEAT_IMAGE") or (default[1] if default else "")
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
    """Build filebeat's image if its base is available. Build the test shipper if tests use it. Return a summary.

    Raises
    ------
    BuildError
        Raised if a required image cannot be built.
    """
    summary = []
    if base := missing_base(arguments):
        if shipper_image() != shipper_for_tests():
            raise BuildError(f"{SHIPPER}: cannot pull the base image {base}, and SHIPPER_IMAGE requires this image")
        summary.append(f"no image of {SHIPPER}, because its base image {base} cannot be pulled")
    else:
        summary.append(build(SHIPPER, tag, arguments))
    if shipper_image() == shipper_for_tests():
        summary.append(f"{build_test_shipper()}, which replaces {SHIPPER} in tests")
    return "; ".join(summary)


def build_argument(text: str) -> tuple[str, str]:
    """Parse a build argument NAME=VALUE of the command line."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted NAME=VALUE")
    return name, value


def main() -> None:
    """Build the image that the command line names. If that fails, print the reason and exit."""
    parser = argparse.ArgumentParser(prog="nox -s build --", description=__doc__)
    parser.add_argument("component")
    parser.add_argument("--tag", default=version(), help="the tag (default: %(default)s, which also sets latest)")
    parser.add_argument("--build-arg", type=build_argument, action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    start = time.monotonic()
    try:
        build_image = build_shipper if options.component == SHIPPER else partial(build, options.component)
        name = build_image(options.tag, dict(options.build_arg))
    except BuildError as error:
        sys.exit(f"build: {error}")
    print(f"built {name} in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
