"""The rule that decides when a lab was last used. The hub uses this time to stop idle labs: docs/dev/lab.md."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

# Jupyter Server's setting for the time of the last message from or to a terminal
TERMINAL_ACTIVITY = "terminal_last_activity"


def is_kernel_busy(kernel_manager: Any) -> bool:
    """Return whether any kernel is executing code, even if it has printed nothing for hours."""
    kernels = (kernel_manager.get_kernel(kernel_id) for kernel_id in kernel_manager.list_kernel_ids())
    return any(getattr(kernel, "execution_state", None) == "busy" for kernel in kernels)


def is_program_running(terminal: Any) -> bool:
    """Return whether the foreground of a terminal is a program other than its shell.

    Background jobs, stopped jobs and programs that are detached from the terminal (nohup, tmux) do not count.
    """
    process = terminal.ptyproc
    try:
        return os.tcgetpgrp(process.fd) not in {process.pid, 0}
    except OSError:  # the terminal was closed in the meantime
        return False


def read_input_time(terminal: Any) -> datetime | None:
    """Return when the user last typed into a terminal, accurate to eight seconds. `w` shows the same time.

    The result is the access time of the terminal device. Jupyter Server uses the last message of the WebSocket
    instead, which includes the messages of a page that reconnects.
    """
    try:
        return datetime.fromtimestamp(os.stat(f"/proc/{terminal.ptyproc.pid}/fd/0").st_atime, UTC)
    except OSError:
        return None


class ActivityTracker:
    """The time of the last use of a lab, by the rule of docs/dev/lab.md.

    Parameters
    ----------
    web_app
        The web application of the lab's Jupyter Server.
    """

    def __init__(self, web_app: Any) -> None:
        self._settings = web_app.settings
        self._last: datetime = web_app.settings["started"]

    def last_activity(self) -> datetime:
        """Return the time of the last use: the current time while a kernel or a foreground program runs.

        The tracker stores the result, so that the time never goes back. After a program has ended, no other record
        shows when it was running.
        """
        self._last = max(self._last, datetime.now(UTC) if self._is_running() else self._last_trace())
        return self._last

    def _terminals(self) -> list[Any]:
        return list(getattr(self._settings.get("terminal_manager"), "terminals", {}).values())

    def _is_running(self) -> bool:
        return is_kernel_busy(self._settings["kernel_manager"]) or any(map(is_program_running, self._terminals()))

    def _last_trace(self) -> datetime:
        """Return the latest use in Jupyter Server's records. For terminals, `read_input_time` replaces them."""
        times: list[datetime] = [self._settings["kernel_manager"].last_kernel_activity]
        times += self._settings["last_activity_times"].values()
        times += [
            value
            for name, value in self._settings.items()
            if name.endswith("_last_activity") and name != TERMINAL_ACTIVITY
        ]
        return max(times + [time for terminal in self._terminals() if (time := read_input_time(terminal))])
