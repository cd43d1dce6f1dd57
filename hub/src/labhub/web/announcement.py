"""The announcement's page, its call of the API, and the refusal of starts that it may ask for."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from jupyterhub.apihandlers.base import APIHandler  # type: ignore[import-untyped]
from jupyterhub.handlers import BaseHandler  # type: ignore[import-untyped]
from jupyterhub.metrics import prometheus_log_method  # type: ignore[import-untyped]
from jupyterhub.scopes import needs_scope  # type: ignore[import-untyped]
from jupyterhub.user import User  # type: ignore[import-untyped]
from tornado import web

from labhub.telemetry import audit as audit
from labhub.models.announcement import LEVELS, LONGEST, NOTHING, Announcement, AnnouncementError, parse

if TYPE_CHECKING:
    from labhub.app import LabHub

# Not 503: nginx takes that for a hub that is away, and answers with a page of its own. JupyterHub says this, too, when
# it starts no more servers.
REFUSED = 429
RETRY_AFTER = "60"


class AnnouncementHandler(APIHandler):  # type: ignore[misc]  # untyped
    """`/hub/api/announcement`: everybody may read it, also who is not logged in; `PUT` and `DELETE` change it."""

    app: LabHub

    async def prepare(self) -> None:
        """Look who it is that changes something.

        Whoever reads is not looked up: each open page of thousands of labs asks every minute.
        """
        if self.request.method != "GET":
            await super().prepare()

    def _log(self) -> None:
        """Write no line for those who read."""
        if self.request.method == "GET":
            prometheus_log_method(self)
        else:
            super()._log()

    def get(self) -> None:
        """Give it; the message is empty when there is none. Who has it already gets a 304."""
        self.set_header("Cache-Control", "no-cache")
        self.finish(json.dumps((self.app.board.current or NOTHING).model()))

    @needs_scope("admin:servers")  # type: ignore[untyped-decorator]
    def put(self) -> None:
        """Announce something."""
        try:
            # By hand: JupyterHub writes a traceback for what is no JSON.
            announcement = parse(json.loads(self.request.body or b"null"), datetime.now(UTC))
        except ValueError:
            raise web.HTTPError(400, "found no JSON, wanted an object with a message") from None
        except AnnouncementError as error:
            raise web.HTTPError(400, str(error)) from None
        self._post(announcement)
        audit.announcement(self.current_user.name, announcement.model())
        self.finish(json.dumps(announcement.model()))

    @needs_scope("admin:servers")  # type: ignore[untyped-decorator]
    def delete(self) -> None:
        """End it."""
        if was := self.app.board.current:
            self._post(None)
            audit.announcement_end(self.current_user.name, was.model())
        self.set_status(204)

    def _post(self, announcement: Announcement | None) -> None:
        try:
            self.app.board.post(announcement)
        except OSError as error:
            raise web.HTTPError(500, f"the announcement cannot be kept: {error.strerror}") from error


class AnnouncePage(BaseHandler):  # type: ignore[misc]  # untyped
    """The page from which an administrator does that."""

    @web.authenticated
    @needs_scope("admin:servers")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Show what is announced."""
        self.finish(await self.render_template("announce.html", levels=LEVELS, longest=LONGEST))


class NotNowError(web.HTTPError):
    """No lab is started."""

    headers: ClassVar = {"Retry-After": RETRY_AFTER}  # JupyterHub answers with them

    def __init__(self, why: str) -> None:
        super().__init__(REFUSED, why)


class Gated(BaseHandler):  # type: ignore[misc]  # untyped
    """What starts labs, unless an administrator has stopped that: nobody's is started then, theirs neither."""

    app: LabHub

    async def spawn_single_user(
        self, user: User, server_name: str = "", display_name: str = "", options: object = None
    ) -> None:
        """Start a lab, or say why not."""
        if stop := self.app.board.stop:
            raise NotNowError(stop.refusal())
        if self.app.adopting:
            # Theirs may be one of them.
            raise NotNowError("The hub has just started and finds the labs that run. Try again in a minute.")
        await super().spawn_single_user(user, server_name, display_name, options=options)


HANDLERS = [(r"/announce", AnnouncePage), (r"/api/announcement", AnnouncementHandler)]
