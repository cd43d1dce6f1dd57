"""The delivery of a lab's notices: pages request them, and the lab writes them to open terminals."""

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
    """All notices that this lab shows to its user at present.

    Parameters
    ----------
    serverapp
        The lab's Jupyter Server.
    last_activity
        A function that returns when the lab was last used. The lab reports this time to the hub.
    limits
        The times after which the hub stops the lab.
    home_notice
        The text of the notice about a problem of the home; empty: the home has no problem.
    write_to_terminals
        A function that shows a text in all open terminals.
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
        # `refresh` does not write these notices to open terminals. Each terminal has shown them when it opened.
        self._shown = {notice.id for notice in [*self.permanent, *SETTINGS_NOTICES.current()]}
        self._nearing_end = False

    def start(self) -> None:
        """Refresh the notices periodically if the lab has a limit."""
        if self.limits.exist:
            PeriodicCallback(self.refresh, self.limits.refresh_interval()).start()

    def find_current(self) -> list[Notice]:
        """Return all notices of this moment: about the home, about the user's settings, and warnings before a stop."""
        started, now = self.serverapp.web_app.settings["started"], datetime.now(UTC)
        last_activity = self.last_activity()
        self._nearing_end = self._nearing_end or self.limits.is_nearing_idle_end(now, last_activity)
        permanent = self.permanent + SETTINGS_NOTICES.current()
        return permanent + self.limits.find_notices(now, started, last_activity)

    def refresh(self) -> None:
        """Write new notices to the open terminals. If the lab was near its idle limit, report new use to the hub."""
        for notice in self.find_current():
            if notice.id not in self._shown:
                self._shown.add(notice.id)
                self.write_to_terminals(f"\r\n\x1b[7m {notice.to_terminal_line()} \x1b[0m\r\n")
        if self._nearing_end and not self.limits.is_nearing_idle_end(datetime.now(UTC), self.last_activity()):
            self._nearing_end = False
            # Send the report in the background, so that a hub that does not answer cannot delay the answer to the page.
            self.serverapp.io_loop.spawn_callback(self.report_activity)

    async def report_activity(self) -> None:
        """Report the time of the last use to the hub now, without waiting for the regular report."""
        for apps in self.serverapp.extension_manager.extension_apps.values():
            for app in apps:
                if hasattr(app, "notify_activity"):
                    await app.notify_activity()


class NoticesHandler(APIHandler):
    """The handler of the page's requests. `GET` and `POST` return the notices. `POST` also records use of the lab."""

    _track_activity = False

    def initialize(self, board: NoticeBoard) -> None:
        """Store the notice board. Tornado calls this method for each request."""
        self.board = board

    def _answer(self) -> None:
        self.finish(json.dumps([notice.to_json() for notice in self.board.find_current()]))

    @authenticated
    def get(self) -> None:
        """Send the current notices as JSON."""
        self._answer()

    @authenticated
    def post(self) -> None:
        """Record that the user uses the lab now, and send the current notices as JSON."""
        self.settings["api_last_activity"] = datetime.now(UTC)
        self.board.refresh()
        self._answer()
