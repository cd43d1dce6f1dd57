"""Changes to the internals of JupyterHub and SQLAlchemy. Only `labhub.app` imports this package.

Each module is about one project. Each patch states what it changes, why, the measured gain, and the upstream change
that would make it unnecessary. docs/dev/hub-patches.md lists all patches. If the installed version of a project is not
one of the tested versions, its patches are not applied, and the hub logs one warning.
"""

from __future__ import annotations

import logging

from labhub.shared.version_guard import find_untested_version

# Before you add a version, run hub/tests/unit/test_patches.py. Review the functions that it reports as changed, and
# measure with `nox -s "bench(scale)"`.
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
    # The modules are imported here, because an untested version may lack what they import.
    if not jupyterhub:
        from labhub._patches import jupyterhub_functions

        jupyterhub_functions.apply_patches()
    # These patches change how SQLAlchemy loads JupyterHub's tables, so both projects must have a tested version.
    if not jupyterhub and not sqlalchemy:
        from labhub._patches import sqlalchemy_orm

        sqlalchemy_orm.apply_patches()
    return not jupyterhub
