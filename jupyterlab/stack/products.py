"""A program that prints the products of the stack whose Python runs it: EUPS name, version and folder, one per line.

A product is a package that Rubin Observatory publishes on PyPI. Its EUPS name is the name of the distribution without
`lsst-` and with underscores.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import Distribution, distributions


def product_name(distribution: str) -> str | None:
    """Return the EUPS name of a distribution, or None if it is not a product of the stack."""
    if not distribution.startswith("lsst-"):
        return None
    return distribution.removeprefix("lsst-").replace("-", "_")


def folder(distribution: Distribution) -> str:
    """Return the folder of the product's modules, below the namespace packages that products share."""
    modules = [
        file.parent
        for file in distribution.files or ()
        if file.suffix in {".py", ".so", ".yaml"} and file.name != "__init__.py" and ".." not in file.parts
    ]
    return str(distribution.locate_file(os.path.commonpath(modules)))


def main() -> None:
    """Print the products sorted by name. Exit with an error if there are none."""
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
