"""Patches of Jupyter Server: what counts as use of a lab, and the format of its first log lines."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from lsstlab._patches.guard import is_tested

PROJECT, TESTED = "jupyter_server", ("2.21.1",)
EFFECT = "a page that is open counts as use of the lab, and the first log lines are plain text"

CHANGING_METHODS = {"POST", "PUT", "PATCH", "DELETE"}


def replace_activity_rule(web_app: Any, rule: Callable[[], datetime]) -> Callable[[], datetime]:
    """Override when the lab was last used, and return the function that JupyterHub's extension will ask.

    What: `ServerWebApplication.last_activity` of this server is our rule, and `count_only_changes` is applied.

    Why: docs/dev/lab.md, "Activity", compares the two rules. Jupyter Server's rule stops a lab whose kernel computes
    in silence, and keeps a lab whose page is only open.

    Gain: no time. Unused labs end, and labs that compute do not.

    Unnecessary when: Jupyter Server takes the rule as a setting, and JupyterHub's extension asks it.
    """
    if not is_tested(PROJECT, TESTED, EFFECT):
        upstream_rule: Callable[[], datetime] = web_app.last_activity
        return upstream_rule
    count_only_changes()
    web_app.last_activity = rule
    return rule


def count_only_changes() -> None:
    """Override `APIHandler.update_api_activity`: only requests that change something count as use.

    What: requests with another method, or outside `/api/`, do not update `api_last_activity`.

    Why: an open and visible page asks for kernels, sessions, terminals, folders and the state of git, every few
    seconds. Jupyter Server counts each of these requests.

    Gain: no time. A lab whose page is only open becomes idle.

    Unnecessary when: JupyterLab marks the requests that it repeats by `no_track_activity`, which Jupyter Server reads.
    """
    # Imported here: `lab COMMAND` needs no server.
    from jupyter_server.base.handlers import APIHandler

    update = APIHandler.update_api_activity

    def update_if_changing(handler: APIHandler) -> None:
        request = handler.request
        if request.method in CHANGING_METHODS and request.path.startswith(f"{handler.base_url}api/"):
            update(handler)

    APIHandler.update_api_activity = update_if_changing  # type: ignore[assignment,method-assign]


def use_formatter_from_first_line(formatter: type[logging.Formatter]) -> None:
    """Override `_log_formatter_cls` of Jupyter's applications: lines before the configuration is read are JSON too.

    What: `ServerApp` and `ExtensionApp` start with our formatter.

    Why: `logging_config` takes effect when the configuration files were read. About ten lines come before.

    Gain: no time. Each line of the lab's log is an event of `testing/contracts/log-event.json`.

    Unnecessary when: traitlets takes the logging configuration from the environment, or from the start of a program.
    """
    if not is_tested(PROJECT, TESTED, EFFECT):
        return
    from jupyter_server.extension.application import ExtensionApp
    from jupyter_server.serverapp import ServerApp

    for application in (ExtensionApp, ServerApp):
        application._log_formatter_cls = formatter  # type: ignore[assignment]
