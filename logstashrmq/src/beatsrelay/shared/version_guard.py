"""A check of versions for code that depends on undocumented parts of an upstream package."""

from __future__ import annotations

from collections.abc import Collection
from importlib import metadata


def find_untested_version(package: str, tested: Collection[str], effect: str) -> str:
    """Return a warning if the installed version of a package was not tested. Otherwise return an empty string.

    If the result is a warning, the caller must log the warning once and must not apply its patches of the package.

    Parameters
    ----------
    package
        Name of the distribution, for example `jupyterhub`.
    tested
        The tested versions. A developer has reviewed the undocumented parts of these versions.
    effect
        What users or administrators notice without the patches, for example "spawns use more CPU".
    """
    installed = metadata.version(package)
    if installed in tested:
        return ""
    return (
        f"{package} {installed} was not tested with this release (tested: {', '.join(sorted(tested))}): "
        f"its patches are not applied; {effect}"
    )
