"""The configuration of every lab's Jupyter Server."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from traitlets.config import Config

from lsstlab.lab_environment import lab_variables
from lsstlab.logs import logging_config, wants_json

# Bytes of the path of a Unix socket
SOCKET_PATH_MAX = 107
# What jupyter_client appends to the runtime folder: /kernel-<uuid>-ipc-<port>
SOCKET_NAME_LENGTH = len("/kernel-") + 36 + len("-ipc-65535")
# Runs before the shell of each terminal.
GREETING = """\
cat "$0" 2>/dev/null
[ -z "$LAB_HOME_NOTICE" ] || printf '\\033[7m %s \\033[0m\\n\\n' "$LAB_HOME_NOTICE"
exec /bin/bash -l
"""


def configure(c: Config) -> None:
    """Assign what applies to every lab, of any user, spawned or standalone."""
    if wants_json(os.environ):
        c.Application.logging_config = logging_config()
    configure_files(c, lab_variables(os.environ))
    configure_page(c, os.environ.get("LAB_ANNOUNCEMENT_PATH", ""))
    configure_extensions(c)
    motd = Path(sys.prefix) / "share" / "lsstlab" / "motd"
    c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash", "-c", GREETING, str(motd)]}


def configure_files(c: Config, variables: Mapping[str, str]) -> None:
    """Keep SQLite files and sockets out of the home."""
    scratch = Path(variables["LAB_SCRATCH"])
    # The secret of the signatures is there too: a full home could not trust a notebook.
    c.NotebookNotary.db_file = str(scratch / "nbsignatures.db")
    c.NotebookNotary.secret_file = str(scratch / "notebook_secret")
    c.BaseFileIdManager.db_path = str(scratch / "file_id.db")
    # Unix sockets are faster than TCP, and no other user of the machine can connect.
    if len(variables["JUPYTER_RUNTIME_DIR"]) + SOCKET_NAME_LENGTH <= SOCKET_PATH_MAX:
        c.KernelManager.transport = "ipc"


def configure_page(c: Config, announcement_path: str) -> None:
    """Assign what the page reads: no check for a new build, and where the hub's announcement is."""
    # Without this the server checks for half a second at each page load whether the front end could be rebuilt, which
    # is impossible in an image. The key is JupyterLab's page_config.
    c.ServerApp.tornado_settings = {
        "page_config_data": {"buildAvailable": False, "buildCheck": False, "hubAnnouncement": announcement_path},
    }
    c.LabApp.extension_manager = "readonly"
    c.LabApp.news_url = None
    c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"


def configure_extensions(c: Config) -> None:
    """Turn off what the image has no use for and what costs time at each start."""
    # It translates settings of the old notebook, which is not installed, and imports IPython for it: 30 ms.
    c.ServerApp.jpserver_extensions = {"notebook_shim": False}
    # jupyter-lsp looks for two dozen language servers, with npm if npm is there. None is installed.
    c.LanguageServerManager.autodetect = False
