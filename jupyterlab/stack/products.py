"""Print the products of the stack that runs this: EUPS name, version and folder, one a line.

A product is a package of Rubin Observatory's that PyPI has; its EUPS name is the distribution's name
without `lsst-` and with underscores.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import Distribution, distributions


def product_name(distribution: str) -> str | None:
    """Give the EUPS name of a distribution, None if it is not a product of the stack."""
    if not distribution.startswith("lsst-"):
        return None
    return distribution.removeprefix("lsst-").replace("-", "_")


def folder(distribution: Distribution) -> str:
    """Give the folder of the product's own modules, below the namespaces that products share."""
    modules = [
        file.parent
        for file in distribution.files or ()
        if file.suffix in {".py", ".so", ".yaml"} and file.name != "__init__.py" and ".." not in file.parts
    ]
    return str(distribution.locate_file(os.path.commonpath(modules)))


def main() -> None:
    """Print the table, sorted by name; fail if there is no product at all."""
    rows = sorted(
        (name, distribution.version, folder(distribution))
        for distribution in distributions()
        if (name := product_name(distribution.name.lower().replace("_", "-")))
    )
    if not rows:
        sys.exit("products: no LSST package is installed beside " + sys.executable)
    for row in rows:
        sys.stdout.write(" ".join(row) + "\n")


if __name__ == "__main__":
    main()
