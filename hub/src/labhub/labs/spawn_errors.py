"""The end of a spawn, as JupyterHub shows it."""

from __future__ import annotations

import html

from jupyterhub.spawner import SpawnException  # type: ignore[import-untyped]

from labhub.labs.pod_status import Diagnosis


class Failed(Exception):
    """A lab does not start; the diagnosis says why."""

    def __init__(self, found: Diagnosis, status: int = 500) -> None:
        super().__init__(found.logged)
        self.diagnosis = found
        self.status = status

    def for_user(self) -> SpawnException:
        """Give what JupyterHub shows on the page that waits, and on the one to try again."""
        found = self.diagnosis
        shown = f"<strong>{html.escape(found.message)}</strong>"
        if found.detail:
            shown += f'<pre class="lab-detail">{html.escape(found.detail)}</pre>'
        # JupyterHub logs the first; a `log_message` for it beside tornado's own `HTTPError` overwrites in 6.1.1.
        error = SpawnException(found.logged, reason=found.reason, message_html=shown, status_code=self.status)
        # What JupyterHub's pages look at; of `message_html` they know nothing in 6.1.1.
        error.jupyterhub_message, error.jupyterhub_html_message = str(found), shown
        return error
