"""The Jupyter Server extension of a lab: activity, notices, session log, SIGTERM and garbage collection."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
from typing import Any

from lsstlab import logs
from lsstlab._patches.jupyter_server import replace_activity_rule
from lsstlab._patches.jupyterlab_server import tolerate_broken_settings
from lsstlab._patches.terminado import create_terminal_writer
from lsstlab._patches.tornado import keep_nodelay
from lsstlab.activity import ActivityTracker
from lsstlab.dead_kernels import watch_kernels
from lsstlab.hub_limits import LabLimits
from lsstlab.notice_delivery import NoticeBoard, NoticesHandler
from lsstlab.settings_fallback import check_page_extension

# Less than Kubernetes' grace period for a pod, 30 s.
STOP_SECONDS = 10


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "lsstlab.extension"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    check_page_extension()
    keep_nodelay()
    tolerate_broken_settings()
    add_notices(serverapp)
    watch_kernels(serverapp)
    log_session(serverapp)
    end_on_sigterm(serverapp)
    resume_garbage_collection()


def add_notices(serverapp: Any) -> None:
    """Use the lab's rule for activity, and deliver notices to pages and terminals."""
    tracker = ActivityTracker(serverapp.web_app)
    # JupyterHub's extension sends this time to the hub; /api/status and the metrics show it.
    last_activity = replace_activity_rule(serverapp.web_app, tracker.last_activity)
    board = NoticeBoard(
        serverapp,
        last_activity,
        LabLimits.from_environment(os.environ),
        os.environ.get("LAB_HOME_NOTICE", ""),
        create_terminal_writer(serverapp.web_app),
    )
    path = f"{serverapp.base_url}lsstlab/notices"
    serverapp.web_app.add_handlers(".*$", [(path, NoticesHandler, {"board": board})])
    serverapp.io_loop.add_callback(board.start)


def log_session(serverapp: Any) -> None:
    """Log the start of the session, and each start and stop of its kernels."""
    serverapp.event_logger.add_listener(schema_id=logs.KERNEL_ACTIONS, listener=logs.log_kernel_action)
    logs.log_session_event("session_start", "the session has started")


def end_on_sigterm(serverapp: Any) -> None:
    """End the lab within `STOP_SECONDS` of a SIGTERM, even if the server's clean-up fails or blocks.

    Jupyter Server stops its loop only after a clean-up without errors. An error in an extension, or a terminal whose
    shell ends during the clean-up, would leave the process running. After the timeout, faulthandler logs the stacks of
    all threads and ends the process. asyncio runs the handler between two callbacks, not in the middle of one.
    """

    def stop() -> None:
        faulthandler.dump_traceback_later(STOP_SECONDS, exit=True)
        serverapp.log.info("received SIGTERM, stopping the lab")
        serverapp.stop()

    # Set once the loop runs: it replaces the handler that Jupyter Server has set before.
    serverapp.io_loop.add_callback(serverapp.io_loop.asyncio_loop.add_signal_handler, signal.SIGTERM, stop)


def resume_garbage_collection() -> None:
    """Resume the garbage collection that `launcher` paused, without the objects that exist now."""
    gc.freeze()
    gc.enable()
