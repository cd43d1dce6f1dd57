"""Patches of Jupyter Server: what counts as use of a lab, and the format of the first log lines."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from lsstlab._patches.guard import is_tested

PROJECT, TESTED = "jupyter_server", ("2.21.1",)
EFFECT = "an open page counts as use of the lab, and the first log lines are plain text"

CHANGING_METHODS = {"POST", "PUT", "PATCH", "DELETE"}


def replace_activity_rule(web_app: Any, rule: Callable[[], datetime]) -> Callable[[], datetime]:
    """Replace the rule that decides when the lab was last used. Return the function that JupyterHub's extension calls.

    What: `last_activity` of this server's `ServerWebApplication` becomes `rule`, and `count_only_changes` is applied.

    Why: docs/dev/lab.md, "Activity", compares the two rules. With Jupyter Server's rule, the hub stops a lab whose
    kernel computes without output, and keeps a lab whose page is only open.

    Gain: no time. The hub stops unused labs and keeps labs that compute.

    Unnecessary when: Jupyter Server has a setting for the rule, and JupyterHub's extension uses it.
    """
    if not is_tested(PROJECT, TESTED, EFFECT):
        upstream_rule: Callable[[], datetime] = web_app.last_activity
        return upstream_rule
    count_only_changes()
    web_app.last_activity = rule
    return rule


def count_only_changes() -> None:
    """Override `APIHandler.update_api_activity`: only requests that change something count as use.

    What: only POST, PUT, PATCH and DELETE requests to `/api/` update `api_last_activity`.

    Why: an open and visible page requests kernels, sessions, terminals, folders and git's status every few seconds.
    Jupyter Server counts each of these requests.

    Gain: no time. A lab whose page is only open becomes idle.

    Unnecessary when: JupyterLab marks its polling requests with `no_track_activity`, which Jupyter Server reads.
    """
    # Imported here: `lab COMMAND` does not need Jupyter Server.
    from jupyter_server.base.handlers import APIHandler

    update = APIHandler.update_api_activity

    def update_if_changing(handler: APIHandler) -> None:
        request = handler.request
        if request.method in CHANGING_METHODS and request.path.startswith(f"{handler.base_url}api/"):
            update(handler)

    APIHandler.update_api_activity = update_if_changing  # type: ignore[assignment,method-assign]


def use_formatter_from_first_line(formatter: type[logging.Formatter]) -> None:
    """Override `_log_formatter_cls` of Jupyter's applications, so that even their first log lines are JSON.

    What: `ServerApp` and `ExtensionApp` start with the lab's formatter.

    Why: `logging_config` takes effect after the configuration files are read. About ten lines are logged before that.

    Gain: no time. Each line of the lab's log fits `testing/contracts/log-event.json`.

    Unnecessary when: traitlets can read the logging configuration from the environment or when the program starts.
    """
    if not is_tested(PROJECT, TESTED, EFFECT):
        return
    from jupyter_server.extension.application import ExtensionApp
    from jupyter_server.serverapp import ServerApp

    for application in (ExtensionApp, ServerApp):
        application._log_formatter_cls = formatter  # type: ignore[assignment]
