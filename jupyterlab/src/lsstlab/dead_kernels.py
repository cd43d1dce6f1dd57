"""A notice about a kernel that ends each time it starts. Users cannot read the lab's log, which contains the error."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from lsstlab import logs
from lsstlab.notices import Notice
from lsstlab.settings_notices import SETTINGS_NOTICES

TEXT = "The kernel {name} ends when it starts. The cause may be in ~/.ipython or ~/.local: try clean settings."


def watch_kernels(serverapp: Any) -> None:
    """Notify the user when Jupyter Server has tried five times to start a kernel and does not try again."""

    async def watch(data: dict[str, Any], **_: object) -> None:
        if data["action"] == "start" and data.get("status") == "success":
            with suppress(KeyError):  # the kernel has already been shut down
                callback = partial(notify, data["kernel_name"])
                serverapp.kernel_manager.add_restart_callback(data["kernel_id"], callback, "dead")

    serverapp.event_logger.add_listener(schema_id=logs.KERNEL_ACTIONS, listener=watch)


def notify(name: str) -> None:
    """Add a notice that the kernel with this name ends when it starts."""
    SETTINGS_NOTICES.add(Notice(f"kernel-{name}", "warning", TEXT.format(name=name)))
