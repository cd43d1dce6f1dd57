"""The configuration of Jupyter Server in a lab: files, options of the page, limits and extensions."""

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

# Maximum length of the path of a Unix socket, in bytes
SOCKET_PATH_MAX = 107
# Length of the name that jupyter_client gives to a socket in the runtime folder: /kernel-<uuid>-ipc-<port>
SOCKET_NAME_LENGTH = len("/kernel-") + 36 + len("-ipc-65535")
# The script that each terminal runs before its shell. It shows the greeting in the file $0, the notice about the home,
# and the notices about settings in the file $1.
GREETING = """\
cat "$0" 2>/dev/null
[ -z "$LAB_HOME_NOTICE" ] || printf '\\033[7m %s \\033[0m\\n\\n' "$LAB_HOME_NOTICE"
while IFS= read -r notice; do printf '\\033[7m %s \\033[0m\\n\\n' "$notice"; done 2>/dev/null <"$1"
exec /bin/bash -l
"""


def configure(c: Config) -> None:
    """Assign the options of Jupyter Server that all labs need, both spawned and standalone labs."""
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
    """Assign paths in the scratch folder, instead of the home, to SQLite files and sockets."""
    scratch = Path(variables["LAB_SCRATCH"])
    # The signature secret is also in the scratch folder, so that users with a full home can trust notebooks.
    c.NotebookNotary.db_file = str(scratch / "nbsignatures.db")
    c.NotebookNotary.secret_file = str(scratch / "notebook_secret")
    c.BaseFileIdManager.db_path = str(scratch / "file_id.db")
    # Use Unix sockets between the server and the kernels. They are faster than TCP, and other users of the machine
    # cannot connect to them.
    if len(variables["JUPYTER_RUNTIME_DIR"]) + SOCKET_NAME_LENGTH <= SOCKET_PATH_MAX:
        c.KernelManager.transport = "ipc"


def configure_page(c: Config, announcement_path: str) -> None:
    """Assign the options of the JupyterLab page: no build check, no update check, and the path of announcements."""
    # With these build options, the server does not check at each page load whether the front end needs a rebuild. The
    # check takes half a second, and a rebuild is impossible in an image. JupyterLab passes page_config_data to the
    # page.
    c.ServerApp.tornado_settings = {
        "page_config_data": {"buildAvailable": False, "buildCheck": False, "hubAnnouncement": announcement_path},
    }
    c.LabApp.extension_manager = "readonly"
    c.LabApp.news_url = None
    c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"


def configure_limits(c: Config) -> None:
    """Assign limits that protect the lab's memory, and that normal use does not reach (docs/dev/limits.md)."""
    c.ServerApp.kernel_websocket_connection_class = "lsstlab.kernel_output.LabKernelConnection"
    c.ServerApp.kernel_manager_class = "lsstlab.kernel_output.LabKernelManager"
    c.TerminalsExtensionApp.terminal_manager_class = "lsstlab.terminal_output.LabTerminalManager"
    connection = c.ZMQChannelsWebsocketConnection
    connection.limit_rate = False  # LabKernelConnection has its own limiter, which uses the next three options
    connection.iopub_data_rate_limit = TEXT_BYTES_PER_SECOND
    connection.iopub_msg_rate_limit = OUTPUTS_PER_SECOND
    connection.rate_limit_window = BURST_SECONDS
    c.ServerApp.tornado_settings["websocket_max_message_size"] = MESSAGE_MAX
    c.ServerApp.max_body_size = BODY_MAX
    # Jupyter Server creates the HTTPServer and has no option for this limit. Tornado documents `configure` for this
    # case.
    HTTPServer.configure(None, max_header_size=HEADERS_MAX)


def configure_extensions(c: Config) -> None:
    """Turn off extensions that the image does not need and that take time at each start."""
    # notebook_shim translates settings of the classic notebook, which is not installed. Its import of IPython takes 30
    # ms.
    c.ServerApp.jpserver_extensions = {"notebook_shim": False}
    # At each start, jupyter-lsp would search for two dozen language servers, and run npm. The image has no language
    # server.
    c.LanguageServerManager.autodetect = False
