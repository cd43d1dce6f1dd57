"""The notices of a running lab: which there are, who asks for them, and the terminals, where they are written."""

from __future__ import annotations

import json
from typing import Any

from jupyter_server._tz import utcnow
from jupyter_server.base.handlers import APIHandler
from tornado.ioloop import PeriodicCallback
from tornado.web import authenticated

from lsstlab.activity import Activity
from lsstlab.lifetime import Lifetime, Notice


class Bulletin:
    """What there is to tell the user of this lab.

    Parameters
    ----------
    serverapp
        The lab's server.
    activity
        When it was last used.
    lifetime
        When the hub stops it.
    home_notice
        What is wrong with the home; empty: nothing.
    """

    def __init__(self, serverapp: Any, activity: Activity, lifetime: Lifetime, home_notice: str) -> None:
        self.serverapp = serverapp
        self.activity = activity
        self.lifetime = lifetime
        self.lasting = [Notice("home", "error", home_notice)] if home_notice else []
        self._told = {notice.id for notice in self.lasting}  # the shell's greeting says it
        self._nearing_end = False

    def start(self) -> None:
        """Look from time to time whether there is something to tell, if the hub ever stops this lab."""
        if self.lifetime.ends:
            PeriodicCallback(self.look, self.lifetime.look_interval()).start()

    def current(self) -> list[Notice]:
        """Give the notices that hold now."""
        started, now, last_activity = self.serverapp.web_app.settings["started"], utcnow(), self.activity.last()
        self._nearing_end = self._nearing_end or self.lifetime.is_nearing_idle_end(now, last_activity)
        return self.lasting + self.lifetime.notices(now, started, last_activity)

    def look(self) -> None:
        """Tell the terminals what is new, and the hub at once that a lab which was about to stop is used again."""
        for notice in self.current():
            if notice.id not in self._told:
                self._told.add(notice.id)
                self.write_to_terminals(notice)
        if self._nearing_end and not self.lifetime.is_nearing_idle_end(utcnow(), self.activity.last()):
            self._nearing_end = False
            # Nobody waits for a hub that does not answer.
            self.serverapp.io_loop.spawn_callback(self.report)

    async def report(self) -> None:
        """Tell the hub when the lab was last used, now rather than in the next of its intervals."""
        for apps in self.serverapp.extension_manager.extension_apps.values():
            for app in apps:
                if hasattr(app, "notify_activity"):
                    await app.notify_activity()

    def write_to_terminals(self, notice: Notice) -> None:
        """Show a notice in every terminal, as `wall` does; whatever runs there gets none of it."""
        manager = self.serverapp.web_app.settings.get("terminal_manager")
        text = f"\r\n\x1b[7m {notice.line()} \x1b[0m\r\n"
        for terminal in getattr(manager, "terminals", {}).values():
            terminal.read_buffer.append(text)  # for those who open it later
            for client in terminal.clients:
                client.on_pty_read(text)


class NoticesHandler(APIHandler):
    """`GET`: the notices, which is no use of the lab. `POST`: the same, from a page at which somebody is."""

    _track_activity = False

    def initialize(self, bulletin: Bulletin) -> None:
        """Take what to tell."""
        self.bulletin = bulletin

    def _answer(self) -> None:
        self.finish(json.dumps([notice.model() for notice in self.bulletin.current()]))

    @authenticated
    def get(self) -> None:
        """Give the notices."""
        self._answer()

    @authenticated
    def post(self) -> None:
        """Take note that somebody uses the lab, and give the notices."""
        self.settings["api_last_activity"] = utcnow()
        self.bulletin.look()
        self._answer()
