"""A Jupyter Server extension: what can only be done inside the server."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
from typing import Any

from tornado.iostream import IOStream

from lsstlab import logs
from lsstlab.activity import Activity, count_only_changes
from lsstlab.bulletin import Bulletin, NoticesHandler
from lsstlab.lifetime import Lifetime

# Less than the 30 s that Kubernetes gives a pod.
STOP_SECONDS = 10


def keep_nodelay() -> None:
    """Make tornado's sockets, once they have TCP_NODELAY, keep it.

    tornado turns Nagle's algorithm on again after every response, the 101 of a WebSocket's handshake too
    (`HTTP1Connection._finish_request`), and neither jupyter-server nor terminado turns it off for theirs. A
    kernel answers in several small messages: each after the first then waits for the browser's delayed
    acknowledgement, and a round trip takes 44 ms instead of 4.

    Every connection gets the option when its first response is finished. This covers each WebSocket of the
    lab, also those of other extensions: kernels, terminals, language servers, proxied servers.
    """
    set_nodelay = IOStream.set_nodelay

    def only_on(stream: IOStream, value: bool) -> None:
        if value:
            set_nodelay(stream, value)

    IOStream.set_nodelay = only_on  # type: ignore[assignment,method-assign]


def resume_collection() -> None:
    """Collect garbage again, which `session.run_server` had paused, without what was imported meanwhile."""
    gc.freeze()
    gc.enable()


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "lsstlab.extension"}]


def report_activity(serverapp: Any) -> None:
    """Make the lab report its use by our rule, and show its user what there is to tell."""
    count_only_changes()
    activity = Activity(serverapp.web_app)
    bulletin = Bulletin(serverapp, activity, Lifetime.read(os.environ), os.environ.get("LAB_HOME_NOTICE", ""))
    # JupyterHub's extension sends this to the hub; /api/status and the metrics show it.
    serverapp.web_app.last_activity = activity.last
    path = f"{serverapp.base_url}lsstlab/notices"
    serverapp.web_app.add_handlers(".*$", [(path, NoticesHandler, {"bulletin": bulletin})])
    serverapp.io_loop.add_callback(bulletin.start)


def tell_of_session(serverapp: Any) -> None:
    """Log that a session has begun, and when its kernels start and stop."""
    serverapp.event_logger.add_listener(schema_id=logs.KERNEL_ACTIONS, listener=logs.tell_of_kernel)
    logs.tell("session_start", "the session has started")


def end_when_told(serverapp: Any) -> None:
    """Let a SIGTERM end the lab within `STOP_SECONDS`, whatever comes in the way.

    jupyter-server ends its loop only after a clean-up in which nothing failed: a terminal whose shell ends in
    that moment, or an extension with a mistake, and the process would stay. What then still stands in the way
    is written to the log. asyncio's handler runs between two callbacks, not in the midst of one.
    """

    def stop() -> None:
        faulthandler.dump_traceback_later(STOP_SECONDS, exit=True)
        serverapp.log.info("SIGTERM: the lab ends")
        serverapp.stop()

    # Only a running loop can take it, and the server has set its own by then.
    serverapp.io_loop.add_callback(serverapp.io_loop.asyncio_loop.add_signal_handler, signal.SIGTERM, stop)


def _load_jupyter_server_extension(serverapp: Any) -> None:
    keep_nodelay()
    report_activity(serverapp)
    tell_of_session(serverapp)
    end_when_told(serverapp)
    resume_collection()
