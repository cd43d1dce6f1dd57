"""The delivery of a lab's notices to pages and terminals."""

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
from lsstlab.settings_notices import SETTINGS_NOTICES


class NoticeBoard:
    """The notices that apply to this lab.

    Parameters
    ----------
    serverapp
        The lab's server.
    last_activity
        Returns the time of the last use that the lab reports to the hub.
    limits
        When the hub stops the lab.
    home_notice
        The notice about a problem of the home; empty: no problem.
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
        # These notices are not written to open terminals, because each terminal has shown them when it opened.
        self._shown = {notice.id for notice in [*self.permanent, *SETTINGS_NOTICES.current()]}
        self._nearing_end = False

    def start(self) -> None:
        """Refresh the notices periodically if the lab has a limit."""
        if self.limits.exist:
            PeriodicCallback(self.refresh, self.limits.refresh_interval()).start()

    def find_current(self) -> list[Notice]:
        """Return the notices that apply now."""
        started, now = self.serverapp.web_app.settings["started"], datetime.now(UTC)
        last_activity = self.last_activity()
        self._nearing_end = self._nearing_end or self.limits.is_nearing_idle_end(now, last_activity)
        permanent = self.permanent + SETTINGS_NOTICES.current()
        return permanent + self.limits.find_notices(now, started, last_activity)

    def refresh(self) -> None:
        """Show new notices in the terminals. Report use of a lab near its idle limit to the hub at once."""
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
    """Handler of the page's requests. `GET` returns the notices. `POST` also records that the user is at the page."""

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
        """Record that the user is using the lab, and return the notices."""
        self.settings["api_last_activity"] = datetime.now(UTC)
        self.board.refresh()
        self._answer()
