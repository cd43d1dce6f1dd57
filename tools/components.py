"""The components and their images. A component is a folder with a Dockerfile.

`python -m tools.components` prints the images that a site deploys, `--for-tests` those that the cluster tests need.
"""

from __future__ import annotations

import argparse
import os
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TITLE = re.compile(r'org\.opencontainers\.image\.title="([^"]+)"')
SHIPPER = "filebeat"


def image_name(component: str) -> str:
    """Return the name of a component's image: the title label of its Dockerfile.

    Raises
    ------
    ValueError
        Raised if the Dockerfile has no such label.
    """
    found = TITLE.search((ROOT / component / "Dockerfile").read_text())
    if found is None:
        raise ValueError(f"{component}/Dockerfile: no label org.opencontainers.image.title, the image's name")
    return found[1]


def version() -> str:
    """Return the project's version: the tag of the images, and so of the manifests that name them."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: str = tomllib.load(file)["tool"]["towncrier"]["version"]
    return found


def stand_in() -> str:
    """Return the image of the stand-in for filebeat: testing/shipper."""
    return f"{image_name('testing/shipper')}:{version()}"


def shipper_image() -> str:
    """Return the image that runs in filebeat's place in tests: SHIPPER_IMAGE, or the stand-in.

    Not every machine can pull Elastic's image. On one that can, SHIPPER_IMAGE names ours, which is built from it.
    """
    return os.environ.get("SHIPPER_IMAGE") or stand_in()


def list_images(*, for_tests: bool = False) -> list[str]:
    """Return the image of each component.

    Parameters
    ----------
    for_tests
        List the image that the cluster tests run in filebeat's place, instead of filebeat's.
    """
    components = sorted(dockerfile.parent.name for dockerfile in ROOT.glob("*/Dockerfile"))
    images = {component: f"{image_name(component)}:{version()}" for component in components}
    if for_tests:
        images[SHIPPER] = shipper_image()
    return list(images.values())


def main() -> None:
    """Print the images, one per line."""
    parser = argparse.ArgumentParser(prog="python -m tools.components", description="Print the components' images.")
    parser.add_argument(
        "--for-tests", action="store_true", help="what the cluster tests need: a stand-in in filebeat's place"
    )
    print(*list_images(for_tests=parser.parse_args().for_tests), sep="\n")


if __name__ == "__main__":
    main()
