"""The checkout of the project from which this package was installed: its manifests and its version."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


class CheckoutError(Exception):
    """The package is not in a checkout of the project. The message names the folder."""


def check_checkout() -> None:
    """Check that this package is in a checkout of the project, which has the manifests.

    Raises
    ------
    CheckoutError
        Raised if the manifests are missing, because the package was installed without `-e`.
    """
    if not (ROOT / "hub/kubernetes").is_dir():
        raise CheckoutError(
            f"found no hub/kubernetes in {ROOT}, wanted a checkout of the project: run `pip install -e admin` in one"
        )


def read_version() -> str:
    """Return the version of the project: the tag of its images."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        version: str = tomllib.load(file)["tool"]["towncrier"]["version"]
    return version
