"""The routes of the pages and API calls that the hub adds, below `/hub`."""

from __future__ import annotations

from labhub.web.announcement import AnnouncementHandler, AnnouncePage
from labhub.web.health import LiveHandler
from labhub.web.user_reset import ResetHandler, ResetPage

ROUTES = [
    (r"/announce", AnnouncePage),
    (r"/api/announcement", AnnouncementHandler),
    (r"/live", LiveHandler),
    (r"/reset", ResetPage),
    (r"/api/users/([^/]+)/reset", ResetHandler),
]
