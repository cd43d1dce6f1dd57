"""The version guard of the patches."""

from __future__ import annotations

from functools import cache

from lsstlab import logs
from lsstlab.shared.version_guard import find_untested_version


@cache
def is_tested(project: str, tested: tuple[str, ...], effect: str) -> bool:
    """Return whether the installed version of a project is a tested one. The first call logs a warning if it is not.

    Parameters
    ----------
    project
        Name of the distribution.
    tested
        Versions whose internals were reviewed.
    effect
        What the user notices without the patches. The warning ends with this text.
    """
    warning = find_untested_version(project, tested, effect)
    if warning:
        logs.write_warning(warning)
    return not warning
