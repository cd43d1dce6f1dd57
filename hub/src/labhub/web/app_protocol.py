"""Protocol (type) of the hub's application, for handlers.

Handlers cannot import the class itself from `labhub.app`, because `labhub.app` imports the handlers.
"""

from __future__ import annotations

from typing import Protocol

from labhub.infra.announcement_store import AnnouncementStore
from labhub.labs.launcher import LabLauncher


class HubApp(Protocol):
    """The part of the hub's application that the handlers use.

    Attributes
    ----------
    announcements
        The store of the current announcement.
    launcher
        The launcher of labs, which contains the reflectors.
    recovering_labs
        Whether the hub is recovering lost labs. The hub refuses to start labs until the recovery has finished.
    """

    announcements: AnnouncementStore
    launcher: LabLauncher
    recovering_labs: bool
