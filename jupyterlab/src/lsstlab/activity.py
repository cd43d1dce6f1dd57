"""The rule that decides when a lab was last used. The hub uses this time to stop idle labs.

docs/dev/lab.md, "Activity", has the rule and its reasons.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

# The setting in which Jupyter Server stores the time of the last message between a page and a terminal
TERMINAL_ACTIVITY = "terminal_last_activity"


def is_kernel_busy(kernel_manager: Any) -> bool:
    """Return whether at least one kernel executes code, with or without output."""
    kernels = (kernel_manager.get_kernel(kernel_id) for kernel_id in kernel_manager.list_kernel_ids())
    return any(getattr(kernel, "execution_state", None) == "busy" for kernel in kernels)


def is_program_running(terminal: Any) -> bool:
    """Return whether a program other than the shell runs in the foreground of a terminal.

    Background jobs, stopped jobs and programs that are detached from the terminal (nohup, tmux) do not count.
    """
    process = terminal.ptyproc
    try:
        return os.tcgetpgrp(process.fd) not in {process.pid, 0}
    except OSError:  # the terminal was closed in the meantime
        return False


def read_input_time(terminal: Any) -> datetime | None:
    """Return when the user last typed into a terminal, accurate to eight seconds.

    The result is the access time of the terminal device, which the command `w` also uses. Jupyter Server uses the time
    of the last WebSocket message instead. A page that reconnects sends such messages without any input of the user.
    """
    try:
        return datetime.fromtimestamp(os.stat(f"/proc/{terminal.ptyproc.pid}/fd/0").st_atime, UTC)
    except OSError:
        return None


class ActivityTracker:
    """The calculation of the time when a lab was last used, by the rule of docs/dev/lab.md.

    Parameters
    ----------
    web_app
        The web application of the lab's Jupyter Server.
    """

    def __init__(self, web_app: Any) -> None:
        self._settings = web_app.settings
        self._last: datetime = web_app.settings["started"]

    def last_activity(self) -> datetime:
        """Return when the lab was last used. While a kernel or a foreground program runs, this is the current time.

        The tracker stores the result, because no other record shows when a kernel or a program was last running. So a
        result is never earlier than the previous result.
        """
        self._last = max(self._last, datetime.now(UTC) if self._is_running() else self._last_trace())
        return self._last

    def _terminals(self) -> list[Any]:
        return list(getattr(self._settings.get("terminal_manager"), "terminals", {}).values())

    def _is_running(self) -> bool:
        return is_kernel_busy(self._settings["kernel_manager"]) or any(map(is_program_running, self._terminals()))

    def _last_trace(self) -> datetime:
        """Return the latest time of use that Jupyter Server has recorded, or that `read_input_time` returns.

        The function ignores Jupyter Server's own time for terminals.
        """
        times: list[datetime] = [self._settings["kernel_manager"].last_kernel_activity]
        times += self._settings["last_activity_times"].values()
        times += [
            value
            for name, value in self._settings.items()
            if name.endswith("_last_activity") and name != TERMINAL_ACTIVITY
        ]
        return max(times + [time for terminal in self._terminals() if (time := read_input_time(terminal))])
