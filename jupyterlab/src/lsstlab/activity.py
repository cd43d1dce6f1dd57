"""What counts as use of a lab. The hub stops one that is idle: docs/dev/lab.md says by which rule, and why."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from jupyter_server._tz import utcnow
from jupyter_server.base.handlers import APIHandler

CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
# Stock's time of the last message from or to a terminal.
STOCK_TERMINALS = "terminal_last_activity"


def count_only_changes() -> None:
    """Make requests to Jupyter's API count only if they change something.

    An open, visible page asks for kernels, sessions, terminals, folders and the state of git, each every few
    seconds, and stock takes each for use.
    """
    update = APIHandler.update_api_activity

    def update_if_changing(handler: APIHandler) -> None:
        request = handler.request
        if request.method in CHANGING and request.path.startswith(f"{handler.base_url}api/"):
            update(handler)

    APIHandler.update_api_activity = update_if_changing  # type: ignore[assignment,method-assign]


def busy_kernels(kernel_manager: Any) -> bool:
    """Tell whether a kernel computes: also one that has been silent for hours."""
    kernels = (kernel_manager.get_kernel(kernel_id) for kernel_id in kernel_manager.list_kernel_ids())
    return any(getattr(kernel, "execution_state", None) == "busy" for kernel in kernels)


def runs_a_program(terminal: Any) -> bool:
    """Tell whether a terminal's foreground is anything but its shell.

    A job in the background or stopped does not count, nor does what has left the terminal (nohup, tmux).
    """
    process = terminal.ptyproc
    try:
        return os.tcgetpgrp(process.fd) not in {process.pid, 0}
    except OSError:  # it is just being closed
        return False


def typed_into(terminal: Any) -> datetime | None:
    """Give when something was last typed into a terminal, to eight seconds, as `w` tells it.

    The time of the last read from it. Stock takes the last message of its WebSocket, also each one that a forgotten
    page sends and gets when its connection was lost and is made anew.
    """
    try:
        return datetime.fromtimestamp(os.stat(f"/proc/{terminal.ptyproc.pid}/fd/0").st_atime, UTC)
    except OSError:
        return None


class Activity:
    """When a lab was last used, by our rule.

    Parameters
    ----------
    web_app
        Of the lab's server.
    """

    def __init__(self, web_app: Any) -> None:
        self._settings = web_app.settings
        self._last: datetime = web_app.settings["started"]

    def last(self) -> datetime:
        """Give the time: now if something runs, and never one before what was given already.

        A program that ends leaves no other trace of when it did.
        """
        self._last = max(self._last, utcnow() if self._runs() else self._last_trace())
        return self._last

    def _terminals(self) -> list[Any]:
        return list(getattr(self._settings.get("terminal_manager"), "terminals", {}).values())

    def _runs(self) -> bool:
        return busy_kernels(self._settings["kernel_manager"]) or any(map(runs_a_program, self._terminals()))

    def _last_trace(self) -> datetime:
        """Give the last of the times that Jupyter notes, with those of terminals in place of its own."""
        times: list[datetime] = [self._settings["kernel_manager"].last_kernel_activity]
        times += self._settings["last_activity_times"].values()
        times += [
            value
            for name, value in self._settings.items()
            if name.endswith("_last_activity") and name != STOCK_TERMINALS
        ]
        return max(times + [typed for terminal in self._terminals() if (typed := typed_into(terminal))])
