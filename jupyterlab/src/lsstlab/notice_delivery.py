"""The notices of a running lab: the list, the requests of the page, and the terminals."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from jupyter_server.base.handlers import APIHandler
from tornado.ioloop import PeriodicCallback
from tornado.web import authenticated

from lsstlab.hub_limits import LabLimits
from lsstlab.notices import Notice


class NoticeBoard:
    """The notices that apply to this lab.

    Parameters
    ----------
    serverapp
        The lab's server.
    last_activity
        Returns when the lab was last used, as the hub hears it.
    limits
        When the hub stops the lab.
    home_notice
        What is wrong with the home directory; empty: nothing.
    write_to_terminals
        Shows a text in all terminals.
    """

    def __init__(
        self,
        serverapp: Any,
        last_activity: Callable[[], datetime],
        limits: LabLimits,
        home_notice: str,
        write_to_terminals: Callable[[str], None],
    ) -> None:
        self.serverapp = serverapp
        self.last_activity = last_activity
        self.limits = limits
        self.permanent = [Notice("home", "error", home_notice)] if home_notice else []
        self.write_to_terminals = write_to_terminals
        self._shown = {notice.id for notice in self.permanent}  # the shell's greeting shows these
        self._nearing_end = False

    def start(self) -> None:
        """Refresh from time to time, if the hub ever stops this lab."""
        if self.limits.exist:
            PeriodicCallback(self.refresh, self.limits.refresh_interval()).start()

    def find_current(self) -> list[Notice]:
        """Return the notices that apply now."""
        started, now = self.serverapp.web_app.settings["started"], datetime.now(UTC)
        last_activity = self.last_activity()
        self._nearing_end = self._nearing_end or self.limits.is_nearing_idle_end(now, last_activity)
        return self.permanent + self.limits.find_notices(now, started, last_activity)

    def refresh(self) -> None:
        """Show new notices in the terminals. Report to the hub at once if a lab near its end is used again."""
        for notice in self.find_current():
            if notice.id not in self._shown:
                self._shown.add(notice.id)
                self.write_to_terminals(f"\r\n\x1b[7m {notice.to_terminal_line()} \x1b[0m\r\n")
        if self._nearing_end and not self.limits.is_nearing_idle_end(datetime.now(UTC), self.last_activity()):
            self._nearing_end = False
            # In the background: a hub that does not answer must not delay the page.
            self.serverapp.io_loop.spawn_callback(self.report_activity)

    async def report_activity(self) -> None:
        """Report the last activity to the hub now instead of at the next interval."""
        for apps in self.serverapp.extension_manager.extension_apps.values():
            for app in apps:
                if hasattr(app, "notify_activity"):
                    await app.notify_activity()


class NoticesHandler(APIHandler):
    """`GET` returns the notices and is no use of the lab. `POST` does the same when a person is at the page."""

    _track_activity = False

    def initialize(self, board: NoticeBoard) -> None:
        """Store the notice board."""
        self.board = board

    def _answer(self) -> None:
        self.finish(json.dumps([notice.to_json() for notice in self.board.find_current()]))

    @authenticated
    def get(self) -> None:
        """Return the notices."""
        self._answer()

    @authenticated
    def post(self) -> None:
        """Record that a person uses the lab, and return the notices."""
        self.settings["api_last_activity"] = datetime.now(UTC)
        self.board.refresh()
        self._answer()
