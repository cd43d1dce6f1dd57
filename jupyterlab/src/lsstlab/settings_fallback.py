"""The start of the lab's Jupyter Server, even if the user's settings in the home prevent the start.

If the settings prevent the start, the process runs itself again with `exec`, without the settings. With `exec`, the
process id, the parent process and the log stay the same.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Container
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from lsstlab import logs
from lsstlab.settings_notices import SETTINGS_NOTICES, format_exception
from lsstlab.user_settings import abbreviate, find_server_settings, ignore_server_settings, is_in_home, settings_folder

# The environment variable that contains the reason for the restart without the user's settings
ERROR_VARIABLE = "LAB_SETTINGS_ERROR"
ERROR_LENGTH = 2000
# Seconds after the start of the process. If a Python file of the user still runs after this time, the file counts as
# blocked. By default, the hub waits 120 s for a lab.
RUN_SECONDS = 30
# The server extension that serves the JupyterLab page
PAGE_EXTENSION = "jupyterlab"
ADVICE = "Fix them, then restart your lab."


class ProcessState:
    """The environment variables and the working folder of this process. The user's Python files can change both."""

    def __init__(self) -> None:
        self._environ: dict[str, str] = {}
        self._folder = ""

    def save(self) -> None:
        """Save the state. Call this method before the process reads the user's settings."""
        self._environ, self._folder = dict(os.environ), os.getcwd()

    def restore(self) -> None:
        """Restore the saved state."""
        os.environ.clear()
        os.environ.update(self._environ)
        os.chdir(self._folder)


BEFORE_SETTINGS = ProcessState()


class HubUnreachableExit(SystemExit):
    """The exit of a lab's server that cannot connect to its hub. The user's settings have not caused this exit."""


def launch(server: type[Any]) -> None:
    """Run the lab's Jupyter Server. If the user's settings prevent the start, restart the server without them."""
    if reason := os.environ.pop(ERROR_VARIABLE, ""):
        report_ignored_settings(reason)
        ignore_server_settings()
        server.launch_instance()
        return
    BEFORE_SETTINGS.save()
    watch_user_code()
    try:
        server.launch_instance()
    except (HubUnreachableExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # for example SystemExit and asyncio.CancelledError
        if not is_starting():
            raise
        restart_without_settings(find_reason(error), error)
        raise


def report_ignored_settings(error: str) -> None:
    """Notify the user that the lab does not use the server settings in the home, because of an error."""
    files = find_server_settings()
    if len(files) == 1:
        SETTINGS_NOTICES.report(abbreviate(files[0]), error)
    else:
        SETTINGS_NOTICES.report(f"the server settings in {abbreviate(settings_folder())}", error, ADVICE)


def check_page_extension(enabled: Container[str]) -> None:
    """Restart the server without the user's settings if the extension for the JupyterLab page has failed or is off.

    If the user has no server settings, continue without a restart.

    Parameters
    ----------
    enabled
        Names of the server's enabled extensions.
    """
    if error := SETTINGS_NOTICES.failed_extensions.get(PAGE_EXTENSION):
        restart_without_settings(f"the extension {PAGE_EXTENSION} failed: {error}")
    elif PAGE_EXTENSION not in enabled:
        restart_without_settings(f"the extension {PAGE_EXTENSION} is disabled")


def is_starting() -> bool:
    """Return whether the server is still starting: it reads its configuration or loads its extensions."""
    from jupyter_server.serverapp import ServerApp

    return ServerApp.initialized() and getattr(ServerApp.instance(), "http_server", None) is None


def find_reason(error: BaseException) -> str:
    """Return the reason why the server ended.

    traitlets and JupyterHub raise SystemExit after an error. The original error is the context of the SystemExit.
    """
    if not isinstance(error, SystemExit):
        return format_exception(error)
    if error.__context__ is not None:
        return format_exception(error.__context__)
    return SETTINGS_NOTICES.last_error or f"exit status {error.code}"


def restart_without_settings(reason: str, error: BaseException | None = None) -> None:
    """Replace this process by a server that does not read the user's settings (`exec`).

    If the user has no server settings, log nothing and return.
    """
    BEFORE_SETTINGS.restore()
    if not find_server_settings():
        return
    folder = abbreviate(settings_folder())
    logs.write_warning(f"the lab does not start with the settings in {folder}, and starts without: {reason}", error)
    os.environ[ERROR_VARIABLE] = reason[:ERROR_LENGTH]
    with suppress(Exception):  # the user's settings may have closed or replaced the streams
        sys.stdout.flush()
        sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  (no shell)


def watch_user_code() -> None:
    """Start a timer that restarts the server without the user's settings if a user's file blocks the start.

    After RUN_SECONDS, the timer checks whether the server is still starting and runs Python code in a file of the user.
    If only a slow machine delays the start, no such file runs, and the server is not restarted.
    """

    def restart_if_blocked() -> None:
        if is_starting() and (where := find_user_code(sys._current_frames()[main_thread])):
            restart_without_settings(f"still runs after {RUN_SECONDS} s: {where}")

    main_thread = threading.get_ident()
    timer = threading.Timer(RUN_SECONDS, restart_if_blocked)
    timer.daemon = True
    timer.start()


def find_user_code(frame: FrameType | None) -> str:
    """Return the user's file and the line that a thread runs, or an empty string if it runs no file of the user.

    Parameters
    ----------
    frame
        The current frame of the thread. The function also checks the frames that have called this frame.
    """
    while frame is not None:
        if is_user_code(frame.f_code.co_filename):
            return f"{abbreviate(frame.f_code.co_filename)}, line {frame.f_lineno}"
        frame = frame.f_back
    return ""


def is_user_code(file: str) -> bool:
    """Return whether a Python file belongs to the user: it is in the home, but not in the lab's own Python environment.

    On a developer's machine, the lab's own Python environment can be in the home.
    """
    own = any(Path(file).is_relative_to(prefix) for prefix in (sys.prefix, sys.base_prefix))
    return os.path.isabs(file) and is_in_home(file) and not own
