"""The error of a failed spawn, and how JupyterHub shows it."""

from __future__ import annotations

import html

from jupyterhub.spawner import SpawnException  # type: ignore[import-untyped]

from labhub.labs.pod_status import Diagnosis


class SpawnFailedError(Exception):
    """A lab does not start.

    Attributes
    ----------
    diagnosis
        Why.
    status
        HTTP status of the response.
    """

    def __init__(self, diagnosis: Diagnosis, status: int = 500) -> None:
        super().__init__(diagnosis.log_text)
        self.diagnosis = diagnosis
        self.status = status

    def for_jupyterhub(self) -> SpawnException:
        """Return JupyterHub's exception. Its message is on the progress page and on the page that offers a new try."""
        diagnosis = self.diagnosis
        message_html = f"<strong>{html.escape(diagnosis.message)}</strong>"
        if diagnosis.detail:
            message_html += f'<pre class="lab-detail">{html.escape(diagnosis.detail)}</pre>'
        # JupyterHub logs the first argument. Its parameter `log_message` fails in 6.1.1: tornado's HTTPError has an
        # attribute of this name.
        error = SpawnException(
            diagnosis.log_text, reason=diagnosis.reason, message_html=message_html, status_code=self.status
        )
        # JupyterHub's pages read these attributes. In 6.1.1 they ignore `message_html`.
        error.jupyterhub_message, error.jupyterhub_html_message = str(diagnosis), message_html
        return error
