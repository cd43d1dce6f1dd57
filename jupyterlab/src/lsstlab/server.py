"""The configuration of every lab's Jupyter Server."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from traitlets.config import Config

from lsstlab.logs import logging_config, wants_json
from lsstlab.session import environment

SOCKET_PATH_MAX = 107
# Before the shell of each terminal
GREETING = """\
cat "$0" 2>/dev/null
[ -z "$LAB_HOME_NOTICE" ] || printf '\\033[7m %s \\033[0m\\n\\n' "$LAB_HOME_NOTICE"
exec /bin/bash -l
"""
# What jupyter_client puts after the runtime folder: /kernel-<uuid>-ipc-<port>
SOCKET_NAME_LENGTH = len("/kernel-") + 36 + len("-ipc-65535")


def configure(c: Config) -> None:
    """Assign what holds for every lab, of whichever user, spawned or alone."""
    surroundings = environment(os.environ)
    scratch = Path(surroundings["LAB_SCRATCH"])
    runtime = surroundings["JUPYTER_RUNTIME_DIR"]

    if wants_json(os.environ):
        c.Application.logging_config = logging_config()

    # SQLite files: off the home, and with the signatures the secret that they are made with, or a full home could
    # not trust a notebook.
    c.NotebookNotary.db_file = str(scratch / "nbsignatures.db")
    c.NotebookNotary.secret_file = str(scratch / "notebook_secret")
    c.BaseFileIdManager.db_path = str(scratch / "file_id.db")

    # Unix sockets: faster than TCP, and nobody else on the machine can listen.
    if len(runtime) + SOCKET_NAME_LENGTH <= SOCKET_PATH_MAX:
        c.KernelManager.transport = "ipc"

    # The server tries at each page load, for half a second, whether the front end could be rebuilt, which
    # nobody can do in an image. It is JupyterLab's page_config, and this is the way in to it.
    # The front end asks there what the hub announces.
    announcement = os.environ.get("LAB_ANNOUNCEMENT_PATH", "")
    c.ServerApp.tornado_settings = {
        "page_config_data": {"buildAvailable": False, "buildCheck": False, "hubAnnouncement": announcement},
    }
    # It translates settings of the old notebook, which is not installed, and loads IPython for it at each start.
    c.ServerApp.jpserver_extensions = {"notebook_shim": False}
    # jupyter-lsp looks for two dozen language servers, with npm if it is there; none is installed.
    c.LanguageServerManager.autodetect = False
    c.LabApp.extension_manager = "readonly"
    c.LabApp.news_url = None
    c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"

    motd = Path(sys.prefix) / "share" / "lsstlab" / "motd"
    c.ServerApp.terminado_settings = {"shell_command": ["/bin/bash", "-c", GREETING, str(motd)]}
