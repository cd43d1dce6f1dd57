"""The page and the API calls with which an administrator changes the announcement, and labs read it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from jupyterhub.apihandlers.base import APIHandler  # type: ignore[import-untyped]
from jupyterhub.handlers import BaseHandler  # type: ignore[import-untyped]
from jupyterhub.metrics import prometheus_log_method  # type: ignore[import-untyped]
from jupyterhub.scopes import needs_scope  # type: ignore[import-untyped]
from tornado import web

from labhub.models.announcement import (
    LEVELS,
    MESSAGE_MAX,
    NO_ANNOUNCEMENT,
    Announcement,
    AnnouncementError,
    parse_announcement,
)
from labhub.telemetry import audit
from labhub.web.app_protocol import HubApp


class AnnouncementHandler(APIHandler):  # type: ignore[misc]  # untyped
    """Handler of `/hub/api/announcement`. Each client may read the announcement. Only administrators may change it."""

    app: HubApp

    async def prepare(self) -> None:
        """Authenticate a request that changes the announcement.

        GET requests need no login, and each open page of a lab sends such a request every minute. So the hub avoids the
        cost of authentication for GET requests.
        """
        if self.request.method != "GET":
            await super().prepare()

    def _log(self) -> None:
        """Write a log line for the request, but only update the metrics for the frequent GET requests."""
        if self.request.method == "GET":
            prometheus_log_method(self)
        else:
            super()._log()

    def get(self) -> None:
        """Answer with the current announcement, or with an empty message.

        If the client already has this answer, tornado sends status 304 instead, because the ETag is equal.
        """
        self.set_header("Cache-Control", "no-cache")
        self.finish(json.dumps((self.app.announcements.current or NO_ANNOUNCEMENT).to_dict()))

    @needs_scope("admin:servers")  # type: ignore[untyped-decorator]
    def put(self) -> None:
        """Replace the current announcement by the one in the request."""
        try:
            # Do not use JupyterHub's `get_json_body`, which logs a traceback for invalid JSON.
            announcement = parse_announcement(json.loads(self.request.body or b"null"), datetime.now(UTC))
        except ValueError:
            raise web.HTTPError(400, "found invalid JSON, wanted an object with a message") from None
        except AnnouncementError as error:
            raise web.HTTPError(400, str(error)) from None
        self._store(announcement)
        audit.log_announcement(self.current_user.name, announcement.to_dict())
        self.finish(json.dumps(announcement.to_dict()))

    @needs_scope("admin:servers")  # type: ignore[untyped-decorator]
    def delete(self) -> None:
        """End the current announcement."""
        if ended := self.app.announcements.current:
            self._store(None)
            audit.log_announcement_end(self.current_user.name, ended.to_dict())
        self.set_status(204)

    def _store(self, announcement: Announcement | None) -> None:
        try:
            self.app.announcements.replace(announcement)
        except OSError as error:
            raise web.HTTPError(500, f"cannot store the announcement: {error.strerror}") from error


class AnnouncePage(BaseHandler):  # type: ignore[misc]  # untyped
    """The handler of the page on which an administrator changes the announcement."""

    @web.authenticated
    @needs_scope("admin:servers")  # type: ignore[untyped-decorator]
    async def get(self) -> None:
        """Show the page. The page's form contains the current announcement."""
        self.finish(await self.render_template("announce.html", levels=LEVELS, longest=MESSAGE_MAX))
