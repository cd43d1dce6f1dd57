"""Changes to the internals of JupyterHub and SQLAlchemy. Only `labhub.app` imports this package.

Each module contains the patches of one project. The docstring of a patch states the change, the reason, the measured
gain, and the upstream change that would make the patch unnecessary. docs/dev/hub-patches.md lists all patches. If the
installed version of a project is untested, the hub does not apply the patches of this project, and logs one warning.
"""

from __future__ import annotations

import logging

from labhub.shared.version_guard import find_untested_version

# Before you add a version to the tested versions, run hub/tests/unit/test_patches.py. The tests report which upstream
# functions have changed. Review these functions, and measure with `nox -s "bench(scale)"`.
TESTED_JUPYTERHUB = frozenset({"6.1.1"})
TESTED_SQLALCHEMY = frozenset({"2.1.9"})


def apply_patches(log: logging.Logger) -> bool:
    """Apply the patches of each project with a tested version. Return whether JupyterHub's patches were applied."""
    jupyterhub = find_untested_version(
        "jupyterhub", TESTED_JUPYTERHUB, "the hub uses more CPU, and its spawn page does not show a pause"
    )
    sqlalchemy = find_untested_version("sqlalchemy", TESTED_SQLALCHEMY, "the hub uses more CPU")
    for warning in filter(None, (jupyterhub, sqlalchemy)):
        log.warning("%s", warning)
    # Import the modules here. At the top of the file, an import would fail if an untested version lacks a name that a
    # module needs.
    if not jupyterhub:
        from labhub._patches import jupyterhub_functions

        jupyterhub_functions.apply_patches()
    # These patches change how SQLAlchemy loads JupyterHub's tables, so both projects must have a tested version.
    if not jupyterhub and not sqlalchemy:
        from labhub._patches import sqlalchemy_orm

        sqlalchemy_orm.apply_patches()
    return not jupyterhub
