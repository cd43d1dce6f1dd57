"""The error of a failed spawn, and its conversion into JupyterHub's `SpawnException`."""

from __future__ import annotations

import html

from jupyterhub.spawner import SpawnException  # type: ignore[import-untyped]

from labhub.labs.pod_status import Diagnosis


class SpawnFailedError(Exception):
    """Error for a failed spawn, with its diagnosis.

    Attributes
    ----------
    diagnosis
        Reason for the failure.
    status
        HTTP status of the response.
    """

    def __init__(self, diagnosis: Diagnosis, status: int = 500) -> None:
        super().__init__(diagnosis.log_text)
        self.diagnosis = diagnosis
        self.status = status

    def for_jupyterhub(self) -> SpawnException:
        """Convert the error into the `SpawnException` whose message JupyterHub shows on its pages."""
        diagnosis = self.diagnosis
        message_html = f"<strong>{html.escape(diagnosis.message)}</strong>"
        if diagnosis.detail:
            message_html += f'<pre class="lab-detail">{html.escape(diagnosis.detail)}</pre>'
        # Pass the log text as the first argument, which JupyterHub logs. In JupyterHub 6.1.1 the parameter
        # `log_message` fails, because tornado's HTTPError has an attribute of this name.
        error = SpawnException(
            diagnosis.log_text, reason=diagnosis.reason, message_html=message_html, status_code=self.status
        )
        # The pages of JupyterHub 6.1.1 show the text in these attributes, and ignore the parameter `message_html`.
        error.jupyterhub_message, error.jupyterhub_html_message = str(diagnosis), message_html
        return error
