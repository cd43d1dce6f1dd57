"""The components and their images. A component is a folder with a Dockerfile.

`python -m tools.components` prints the images that a site deploys. With `--for-tests` it prints the images that the
cluster tests need.
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
    title = TITLE.search((ROOT / component / "Dockerfile").read_text())
    if title is None:
        raise ValueError(
            f"{component}/Dockerfile: the label org.opencontainers.image.title (the image name) is missing"
        )
    return title[1]


def version() -> str:
    """Return the project's version, which is the tag of the images in the manifests."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        number: str = tomllib.load(file)["tool"]["towncrier"]["version"]
    return number


def shipper_for_tests() -> str:
    """Return the image of the test shipper, testing/shipper."""
    return f"{image_name('testing/shipper')}:{version()}"


def shipper_image() -> str:
    """Return the image that ships logs in tests: SHIPPER_IMAGE, or the test shipper.

    The default is the test shipper, because some machines cannot pull Elastic's image. On machines that can pull it,
    set SHIPPER_IMAGE to the image of the component filebeat.
    """
    return os.environ.get("SHIPPER_IMAGE") or shipper_for_tests()


def list_images(*, for_tests: bool = False) -> list[str]:
    """Return the image of each component.

    Parameters
    ----------
    for_tests
        Whether to list the image that ships logs in the cluster tests, instead of the component filebeat's image.
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
        "--for-tests",
        action="store_true",
        help="the images for cluster tests: the test shipper instead of filebeat",
    )
    print(*list_images(for_tests=parser.parse_args().for_tests), sep="\n")


if __name__ == "__main__":
    main()
