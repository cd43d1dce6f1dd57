"""The configuration of a lab's Jupyter Server."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tornado.httpserver import HTTPServer
from traitlets.config import Config

from lsstlab.lab_environment import lab_variables
from lsstlab.logs import logging_config, wants_json
from lsstlab.server_limits import (
    BODY_MAX,
    BURST_SECONDS,
    HEADERS_MAX,
    MESSAGE_MAX,
    OUTPUTS_PER_SECOND,
    TEXT_BYTES_PER_SECOND,
)
from lsstlab.settings_notices import TERMINAL_FILE

# Longest path of a Unix socket, in bytes
SOCKET_PATH_MAX = 107
# jupyter_client appends this name to the runtime folder: /kernel-<uuid>-ipc-<port>
SOCKET_NAME_LENGTH = len("/kernel-") + 36 + len("-ipc-65535")
# Script that each terminal runs before its shell. It shows the motd ($0) and the notices about home and settings ($1).
GREETING = """\
cat "$0" 2>/dev/null
[ -z "$LAB_HOME_NOTICE" ] || printf '\\033[7m %s \\033[0m\\n\\n' "$LAB_HOME_NOTICE"
while IFS= read -r notice; do printf '\\033[7m %s \\033[0m\\n\\n' "$notice"; done 2>/dev/null <"$1"
exec /bin/bash -l
"""


def configure(c: Config) -> None:
    """Assign the options of every lab, spawned or standalone."""
    if wants_json(os.environ):
        c.Application.logging_config = logging_config()
    variables = lab_variables(os.environ)
    configure_files(c, variables)
    configure_page(c, os.environ.get("LAB_ANNOUNCEMENT_PATH", ""))
    configure_limits(c)
    configure_extensions(c)
    motd = Path(sys.prefix) / "share" / "lsstlab" / "motd"
    notices = f"{variables['LAB_SCRATCH']}/{TERMINAL_FILE}"
    c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash", "-c", GREETING, str(motd), notices]}


def configure_files(c: Config, variables: Mapping[str, str]) -> None:
    """Keep SQLite files and sockets out of the home."""
    scratch = Path(variables["LAB_SCRATCH"])
    # The signature secret is there too, so that users with a full home can trust notebooks.
    c.NotebookNotary.db_file = str(scratch / "nbsignatures.db")
    c.NotebookNotary.secret_file = str(scratch / "notebook_secret")
    c.BaseFileIdManager.db_path = str(scratch / "file_id.db")
    # Unix sockets are faster than TCP, and no other user of the machine can connect.
    if len(variables["JUPYTER_RUNTIME_DIR"]) + SOCKET_NAME_LENGTH <= SOCKET_PATH_MAX:
        c.KernelManager.transport = "ipc"


def configure_page(c: Config, announcement_path: str) -> None:
    """Assign the options of the page: no build check, and the path of the hub's announcement."""
    # Without the build options, the server checks at each page load whether the front end needs a rebuild, which is
    # impossible in an image. The check takes half a second. JupyterLab copies page_config_data into its page_config.
    c.ServerApp.tornado_settings = {
        "page_config_data": {"buildAvailable": False, "buildCheck": False, "hubAnnouncement": announcement_path},
    }
    c.LabApp.extension_manager = "readonly"
    c.LabApp.news_url = None
    c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"


def configure_limits(c: Config) -> None:
    """Assign limits for the lab's memory, which normal use does not reach. docs/dev/limits.md has the reasons."""
    c.ServerApp.kernel_websocket_connection_class = "lsstlab.kernel_output.LabKernelConnection"
    c.ServerApp.kernel_manager_class = "lsstlab.kernel_output.LabKernelManager"
    c.TerminalsExtensionApp.terminal_manager_class = "lsstlab.terminal_output.LabTerminalManager"
    connection = c.ZMQChannelsWebsocketConnection
    connection.limit_rate = False  # LabKernelConnection has its own limiter, which uses these options:
    connection.iopub_data_rate_limit = TEXT_BYTES_PER_SECOND
    connection.iopub_msg_rate_limit = OUTPUTS_PER_SECOND
    connection.rate_limit_window = BURST_SECONDS
    c.ServerApp.tornado_settings["websocket_max_message_size"] = MESSAGE_MAX
    c.ServerApp.max_body_size = BODY_MAX
    # The documented way to change a default of a class that Jupyter Server constructs
    HTTPServer.configure(None, max_header_size=HEADERS_MAX)


def configure_extensions(c: Config) -> None:
    """Turn off extensions that the image does not need and that take time at each start."""
    # notebook_shim translates settings of the classic notebook, which is not installed, and imports IPython: 30 ms.
    c.ServerApp.jpserver_extensions = {"notebook_shim": False}
    # jupyter-lsp searches for two dozen language servers, and runs npm if it exists. The image has none of them.
    c.LanguageServerManager.autodetect = False
