"""The start of the server with the user's settings and, if they prevent the start, without them.

The process starts the server again with `exec`, so that its PID, its parent and its log stay the same.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from lsstlab import logs
from lsstlab.settings_notices import SETTINGS_NOTICES, format_exception
from lsstlab.user_settings import abbreviate, find_server_settings, ignore_server_settings, is_in_home, settings_folder

# Environment variable with the reason why the restarted server does not use the user's settings
ERROR_VARIABLE = "LAB_SETTINGS_ERROR"
ERROR_LENGTH = 2000
# Seconds after the start. If a user's file is then still running, it counts as blocked. The hub waits 120 s for a lab
# by default.
RUN_SECONDS = 30
# The extension that serves the page
PAGE_EXTENSION = "jupyterlab"
ADVICE = "Fix them, then restart your lab."


class HubUnreachableExit(SystemExit):
    """The exit of a server that cannot connect to its hub. The user's settings are not the reason."""


def launch(server: type[Any]) -> None:
    """Run the server. If the user's settings prevent its start, run it without them."""
    if reason := os.environ.pop(ERROR_VARIABLE, ""):
        report_ignored_settings(reason)
        ignore_server_settings()
        server.launch_instance()
        return
    watch_user_code()
    try:
        server.launch_instance()
    except HubUnreachableExit:
        raise
    except (Exception, SystemExit) as error:
        if not is_starting():
            raise
        restart_without_settings(find_reason(error), error)
        raise


def report_ignored_settings(error: str) -> None:
    """Notify the user that the lab starts without the settings of the server."""
    files = find_server_settings()
    if len(files) == 1:
        SETTINGS_NOTICES.report(abbreviate(files[0]), error)
    else:
        SETTINGS_NOTICES.report(f"the server settings in {abbreviate(settings_folder())}", error, ADVICE)


def check_page_extension() -> None:
    """Restart the server without the user's settings if they prevent the page. Do nothing if there are none."""
    if error := SETTINGS_NOTICES.failed_extensions.get(PAGE_EXTENSION):
        restart_without_settings(f"the extension {PAGE_EXTENSION} failed: {error}")


def is_starting() -> bool:
    """Return whether the server reads its configuration or loads its extensions, and does not listen yet."""
    from jupyter_server.serverapp import ServerApp

    return ServerApp.initialized() and getattr(ServerApp.instance(), "http_server", None) is None


def find_reason(error: BaseException) -> str:
    """Return why the server ended. traitlets and JupyterHub raise SystemExit, with the original error as context."""
    if not isinstance(error, SystemExit):
        return format_exception(error)
    if error.__context__ is not None:
        return format_exception(error.__context__)
    return SETTINGS_NOTICES.last_error or f"exit status {error.code}"


def restart_without_settings(reason: str, error: BaseException | None = None) -> None:
    """Replace this process by a server that does not read the user's settings. Return if the user has none."""
    if not find_server_settings():
        return
    folder = abbreviate(settings_folder())
    logs.write_warning(f"the lab does not start with the settings in {folder}, and starts without: {reason}", error)
    os.environ[ERROR_VARIABLE] = reason[:ERROR_LENGTH]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  (no shell)


def watch_user_code() -> None:
    """Restart the server without the user's settings if one of the user's files blocks its start.

    The check requires that a file of the user is running. So a slow machine alone does not cause a restart.
    """

    def restart_if_blocked() -> None:
        if is_starting() and (where := find_user_code(sys._current_frames()[main_thread])):
            restart_without_settings(f"{where} still runs after {RUN_SECONDS} s")

    main_thread = threading.get_ident()
    timer = threading.Timer(RUN_SECONDS, restart_if_blocked)
    timer.daemon = True
    timer.start()


def find_user_code(frame: FrameType | None) -> str:
    """Return the user's file and the line that a thread runs, or an empty string if it runs no file of the user."""
    while frame is not None:
        if is_user_code(frame.f_code.co_filename):
            return f"{abbreviate(frame.f_code.co_filename)}, line {frame.f_lineno},"
        frame = frame.f_back
    return ""


def is_user_code(file: str) -> bool:
    """Return whether a file is in the home and not in the lab's own Python, which a developer's home can contain."""
    own = any(Path(file).is_relative_to(prefix) for prefix in (sys.prefix, sys.base_prefix))
    return os.path.isabs(file) and is_in_home(file) and not own
