"""The components, as found on disk: a component is a folder with a Dockerfile.

`python -m tools.components` prints the names of their images, for whatever loads them into a cluster.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TITLE = re.compile(r'org\.opencontainers\.image\.title="([^"]+)"')
SHIPPER = "filebeat"


def image_name(component: str) -> str:
    """Give the name of a component's image: the title label of its Dockerfile.

    Raises
    ------
    ValueError
        The Dockerfile has no such label.
    """
    found = TITLE.search((ROOT / component / "Dockerfile").read_text())
    if found is None:
        raise ValueError(f"{component}/Dockerfile: no label org.opencontainers.image.title, the image's name")
    return found[1]


def version() -> str:
    """Give the project's version: the tag of the images, and so of the manifests that name them."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: str = tomllib.load(file)["tool"]["towncrier"]["version"]
    return found


def stand_in() -> str:
    """Name the image of the stand-in for filebeat: testing/shipper."""
    return f"{image_name('testing/shipper')}:{version()}"


def shipper_image() -> str:
    """Name the image that takes filebeat's place in tests: what SHIPPER_IMAGE says, or the stand-in.

    Elastic's image cannot be had everywhere. Where it can, SHIPPER_IMAGE names ours, which is made from it.
    """
    return os.environ.get("SHIPPER_IMAGE") or stand_in()


if __name__ == "__main__":
    for dockerfile in sorted(ROOT.glob("*/Dockerfile")):
        component = dockerfile.parent.name
        print(shipper_image() if component == SHIPPER else f"{image_name(component)}:{version()}")
