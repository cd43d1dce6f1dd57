"""The options of a start: the image, the size, and whether the lab starts with clean settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from jupyterhub.spawner import Spawner  # type: ignore[import-untyped]
from traitlets import HasTraits, Instance, default

from labhub.labs.pod_status import Diagnosis
from labhub.labs.spawn_errors import SpawnFailedError
from labhub.models.profiles import Choice, ChoiceError, Menu

# Reasons for the end of a lab that a mistake in the user's settings can cause
SETTINGS_REASONS = {"ended", "timeout"}


class LabOptions(HasTraits):
    """The part of a spawner that the spawn page reads: the options of a start, and why the last lab ended.

    This class is a mixin and not a subclass of Spawner, because JupyterHub refuses subclasses that lack `start`, `stop`
    or `poll`.
    """

    orm_spawner: Any
    menu = Instance(Menu).tag(config=True)

    last_end: dict[str, Any] | None = None
    """Why the last lab ended: reason, message, detail, Unix time in seconds (`at`), and whether the lab had started."""

    @property
    def last_choice(self) -> Choice:
        """The image and the size that the user has chosen last. The spawn page preselects them."""
        return self.menu.restore_choice(self.orm_spawner.user_options or {})

    @property
    def suspects_settings(self) -> bool:
        """Whether the user's settings may be the reason why the last lab ended or did not start."""
        return self.last_end is not None and self.last_end["reason"] in SETTINGS_REASONS

    @default("options_form")
    def _default_options_form(self) -> str:
        """Return a non-empty text, so that JupyterHub shows the spawn page, if the menu has several images or sizes."""
        return "the menu" if len(self.menu.images) > 1 or len(self.menu.sizes) > 1 else ""

    async def get_options_form(self) -> str:
        """Return a non-empty text if the user can choose an image, a size or clean settings.

        For a non-empty text, JupyterHub shows the spawn page. For an empty text, JupyterHub starts the lab at once.
        """
        form: str = await Spawner.get_options_form(self)
        return form or ("clean settings" if self.suspects_settings else "")

    @default("options_from_form")
    def _default_options_from_form(self) -> Callable[[dict[str, list[str]]], dict[str, str]]:
        return self._read_options

    def options_from_query(self, query_data: dict[str, list[str]]) -> dict[str, str]:
        """Return the user options for the query string of a link to the spawn page.

        A query string cannot request clean settings. Otherwise a link on another web site could move the settings of a
        user who follows the link.

        Raises
        ------
        SpawnException
            Raised if the choice is not on the menu, or if the query requests clean settings.
        """
        if "settings" in query_data:
            message = "Found settings in the address, wanted a choice on the spawn page or the home page."
            raise SpawnFailedError(Diagnosis("choice", message), status=400).for_jupyterhub()
        return self._read_options(query_data)

    def _read_options(self, values: dict[str, list[str]]) -> dict[str, str]:
        try:
            return self._choose({name: texts[0] for name, texts in values.items()}).to_dict()
        except SpawnFailedError as error:
            raise error.for_jupyterhub() from error

    def _choose(self, options: dict[str, Any]) -> Choice:
        try:
            return self.menu.choose(options)
        except ChoiceError as error:
            raise SpawnFailedError(Diagnosis("choice", str(error)), status=400) from error

    def forget_clean_settings(self) -> None:
        """Remove clean settings from the stored options, so that the next start uses the user's settings."""
        options = self.orm_spawner.user_options or {}
        if "settings" in options:
            self.orm_spawner.user_options = {name: value for name, value in options.items() if name != "settings"}

    def note_failed_start(self, failure: Diagnosis) -> None:
        """Store why the lab did not start, but only if the user's settings may be the reason."""
        if failure.reason in SETTINGS_REASONS:
            self.store_end(failure, started=False)

    def store_end(self, end: Diagnosis, *, started: bool = True) -> None:
        """Store why the last lab ended or did not start."""
        stored = {"reason": end.reason, "message": end.message, "detail": end.detail, "at": time.time()}
        self.last_end = stored | {"started": started}
