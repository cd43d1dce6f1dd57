"""Version guard for code that depends on the internals of an upstream package."""

from __future__ import annotations

from collections.abc import Collection
from importlib import metadata


def find_untested_version(package: str, tested: Collection[str], effect: str) -> str:
    """Return a warning if the installed version of a package is not one of the tested versions, else an empty string.

    If there is a warning, the caller logs it once and uses only the package's public interface.

    Parameters
    ----------
    package
        Name of the distribution, for example `jupyterhub`.
    tested
        Versions whose internals were reviewed.
    effect
        What the user or administrator notices, for example "spawns use more CPU".
    """
    installed = metadata.version(package)
    if installed in tested:
        return ""
    return (
        f"{package} {installed} was not tested with this release (tested: {', '.join(sorted(tested))}): "
        f"its patches are not applied; {effect}"
    )
