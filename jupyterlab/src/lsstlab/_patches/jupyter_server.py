"""Patches of Jupyter Server: the rule for what counts as use of a lab, and the format of the first log lines."""

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
    """Replace the rule that decides when the lab was last used. Return the rule that the lab uses from now on.

    What: `rule` replaces the method `last_activity` of this server's web application, which JupyterHub's extension
    calls. The function also applies the patch `count_only_changes`.

    Why: with Jupyter Server's own rule, the hub would stop a lab whose kernel computes without output. The hub would
    never stop a lab with an open but unused page. docs/dev/lab.md, "Activity", compares both rules.

    Gain: no time. The hub stops unused labs, and does not stop labs that compute.

    Unnecessary when: Jupyter Server has a setting for the rule, and JupyterHub's extension uses this setting.
    """
    if not is_tested(PROJECT, TESTED, EFFECT):
        upstream_rule: Callable[[], datetime] = web_app.last_activity
        return upstream_rule
    count_only_changes()
    web_app.last_activity = rule
    return rule


def count_only_changes() -> None:
    """Override `APIHandler.update_api_activity`, so that only requests with a changing method count as use of the lab.

    What: only POST, PUT, PATCH and DELETE requests to `/api/` update the time `api_last_activity`.

    Why: every few seconds, a visible page requests the lists of kernels, sessions, terminals and files, and the status
    of git. Jupyter Server counts each of these requests as use.

    Gain: no time. A lab with an open but unused page becomes idle.

    Unnecessary when: JupyterLab marks its polling requests with `no_track_activity`, which Jupyter Server then ignores.
    """
    # Import Jupyter Server here. An import at the top would also delay `lab COMMAND`, which does not need it.
    from jupyter_server.base.handlers import APIHandler

    update = APIHandler.update_api_activity

    def update_if_changing(handler: APIHandler) -> None:
        request = handler.request
        if request.method in CHANGING_METHODS and request.path.startswith(f"{handler.base_url}api/"):
            update(handler)

    APIHandler.update_api_activity = update_if_changing  # type: ignore[assignment,method-assign]


def use_formatter_from_first_line(formatter: type[logging.Formatter]) -> None:
    """Override `_log_formatter_cls` of Jupyter's applications, so that even their first log lines are JSON.

    What: `ServerApp` and `ExtensionApp` use the lab's formatter from their start.

    Why: the applications log about ten lines before they read the configuration files. The option `logging_config` is
    in these files, so it has no effect on the first lines.

    Gain: no time. Each line of the lab's log satisfies `testing/contracts/log-event.json`.

    Unnecessary when: traitlets can read the logging configuration before the first line is logged.
    """
    if not is_tested(PROJECT, TESTED, EFFECT):
        return
    from jupyter_server.extension.application import ExtensionApp
    from jupyter_server.serverapp import ServerApp

    for application in (ExtensionApp, ServerApp):
        application._log_formatter_cls = formatter  # type: ignore[assignment]
