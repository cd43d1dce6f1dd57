"""The Jupyter Server extension of a lab.

The extension sets the activity rule, shows notices, logs the session, lets programs save when the lab stops, and
resumes garbage collection.
"""

from __future__ import annotations

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
from lsstlab.orderly_stop import OrderlyStop
from lsstlab.settings_fallback import check_page_extension


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "lsstlab.extension"}]


def _load_jupyter_server_extension(serverapp: Any) -> None:
    check_page_extension(serverapp.extension_manager.linked_extensions)
    keep_nodelay()
    tolerate_broken_settings()
    add_notices(serverapp)
    watch_kernels(serverapp)
    log_session(serverapp)
    stop_on_signals(serverapp)
    resume_garbage_collection()


def add_notices(serverapp: Any) -> None:
    """Set the lab's own rule for the time of the last use, and show notices in pages and terminals."""
    tracker = ActivityTracker(serverapp.web_app)
    # JupyterHub's extension sends this time to the hub. /api/status and the metrics also show this time.
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
    """Log that the lab's session has started, and later each start, stop and restart of a kernel."""
    serverapp.event_logger.add_listener(schema_id=logs.KERNEL_ACTIONS, listener=logs.log_kernel_action)
    logs.log_session_event("session_start", "the session has started")


def stop_on_signals(serverapp: Any) -> None:
    """Set signal handlers that start an `OrderlyStop`. Kubernetes sends SIGTERM, a hub without Kubernetes sends SIGINT.

    asyncio calls a handler only between two callbacks of the event loop, so the handler cannot interrupt a callback.
    """
    stop = OrderlyStop(serverapp, LabLimits.from_environment(os.environ).stop)
    for number in (signal.SIGTERM, signal.SIGINT):
        # Jupyter Server and JupyterHub set their own signal handlers before the event loop runs. The loop sets this
        # handler after its start, so this handler replaces the other handlers.
        serverapp.io_loop.add_callback(serverapp.io_loop.asyncio_loop.add_signal_handler, number, stop.request)


def resume_garbage_collection() -> None:
    """Resume garbage collection, which `launcher` has paused. The collector will ignore all objects that exist now."""
    gc.freeze()
    gc.enable()
