"""A program that prints the products of an LSST stack, one per line: EUPS name, version and folder.

The Python of the stack must run the program. A product is a package that Rubin Observatory publishes on PyPI. The EUPS
name of a product is the name of its distribution without `lsst-`, and with `_` instead of `-`.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import Distribution, distributions


def product_name(distribution: str) -> str | None:
    """Return the EUPS name of a distribution, or None if the distribution is not a product of the stack."""
    if not distribution.startswith("lsst-"):
        return None
    return distribution.removeprefix("lsst-").replace("-", "_")


def folder(distribution: Distribution) -> str:
    """Return the deepest folder that contains all modules of a product.

    Products share namespace packages such as `lsst`. These packages have no modules, so the folder is below them.
    """
    modules = [
        file.parent
        for file in distribution.files or ()
        if file.suffix in {".py", ".so", ".yaml"} and file.name != "__init__.py" and ".." not in file.parts
    ]
    return str(distribution.locate_file(os.path.commonpath(modules)))


def main() -> None:
    """Print the products sorted by name. Exit with an error if no product is installed."""
    rows = sorted(
        (name, distribution.version, folder(distribution))
        for distribution in distributions()
        if (name := product_name(distribution.name.lower().replace("_", "-")))
    )
    if not rows:
        sys.exit(f"products: {sys.executable} has no LSST package: install stack/requirements.txt first")
    for row in rows:
        sys.stdout.write(" ".join(row) + "\n")


if __name__ == "__main__":
    main()
