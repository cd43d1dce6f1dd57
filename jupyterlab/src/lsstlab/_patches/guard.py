"""The version guard: the lab applies patches only to tested versions of a project."""

from __future__ import annotations

from functools import cache

from lsstlab import logs
from lsstlab.shared.version_guard import find_untested_version


@cache
def is_tested(project: str, tested: tuple[str, ...], effect: str) -> bool:
    """Return whether the installed version of a project was tested. If not, log a warning at the first call.

    Parameters
    ----------
    project
        Name of the distribution.
    tested
        The tested versions of the project.
    effect
        What the user notices without the patches. The warning ends with this text.
    """
    warning = find_untested_version(project, tested, effect)
    if warning:
        logs.write_warning(warning)
    return not warning
