"""The configuration of a JupyterHub that one user runs: in a standalone lab, and in the demo (`nox -s demo`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from traitlets.config import Config

from lsstlab.server_limits import HEADERS_MAX
from lsstlab.settings import Settings

# A prefix for the commands of the labs and the proxy, which are useless without the hub. With setpriv, Linux sends
# SIGTERM to these processes when the hub ends for any reason.
END_WITH_PARENT = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
CONFIG_FILE = Path(__file__).parent / "jupyterhub_config.py"


def configure(c: Config, settings: Settings) -> None:
    """Assign the options of a standalone lab's JupyterHub: of the hub, the proxy, the login and the labs."""
    configure_hub(c, settings)
    configure_login(c, settings)
    configure_labs(c, settings)


def configure_hub(c: Config, settings: Settings) -> None:
    """Assign the addresses, files and limits of the hub and of its proxy."""
    c.JupyterHub.bind_url = f"http://{settings.ip}:{settings.port}"
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{settings.hub_port}"
    c.JupyterHub.db_url = f"sqlite:///{settings.state}/jupyterhub.sqlite"
    c.JupyterHub.cookie_secret_file = str(settings.state / "cookie_secret")
    # Log only warnings. With more log lines, the user name and password, which are printed at the start, would scroll
    # off the screen.
    c.JupyterHub.log_level = "WARN"
    c.ConfigurableHTTPProxy.log_level = "warn"
    # Set the same limit as for labs. The proxy accepts headers of up to 96 KiB, and Tornado's default is 64 KiB.
    HTTPServer.configure(None, max_header_size=HEADERS_MAX)
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{settings.proxy_api_port}"
    c.ConfigurableHTTPProxy.pid_file = str(settings.state / "proxy.pid")
    # start-proxy runs Node.js with `exec`, in the same process. So a SIGTERM of the hub reaches Node.js.
    c.ConfigurableHTTPProxy.command = [*END_WITH_PARENT, str(settings.proxy / "start-proxy")]


def configure_login(c: Config, settings: Settings) -> None:
    """Assign the user who may log in, the authenticator that checks the password, and a hint on the login page."""
    c.Authenticator.allowed_users = {settings.user}
    c.JupyterHub.template_vars = {
        "announcement_login": "The terminal in which you started this JupyterHub shows the user name and the password."
    }
    if settings.login == "pam":
        c.JupyterHub.authenticator_class = "pam"
        c.PAMAuthenticator.service = "jupyterhub"
    else:
        c.JupyterHub.authenticator_class = "shared-password"
        c.SharedPasswordAuthenticator.user_password = settings.password


def configure_labs(c: Config, settings: Settings) -> None:
    """Assign the options of labs. The labs run as processes of the same operating system user as the hub.

    JupyterHub logs a warning that this spawner does not isolate users. This is acceptable for a hub with one user.
    """
    c.JupyterHub.spawner_class = "simple"
    home = "/home/{username}" if settings.login == "pam" else f"{settings.state}/home/{{username}}"
    c.SimpleLocalProcessSpawner.home_dir_template = home
    c.Spawner.cmd = [*END_WITH_PARENT, str(settings.command)]
    c.Spawner.default_url = "/lab"
    c.Spawner.env_keep = ["PATH", "LANG", "LC_ALL", "TZ", "LAB_SCRATCH", "JUPYTER_RUNTIME_DIR"]
    if settings.clean_settings:
        c.Spawner.environment = {"LAB_CLEAN_SETTINGS": request_clean_settings()}
    if os.getuid() == 0:  # only in the demo, if the developer runs it as root
        c.Spawner.args = ["--allow-root"]


def request_clean_settings() -> Callable[[Any], str]:
    """Return a function that returns the value of LAB_CLEAN_SETTINGS for a lab.

    JupyterHub calls the function at each start of a lab. Only the first lab of each user starts with clean settings.
    """
    users: set[str] = set()

    def value(spawner: Any) -> str:
        first = spawner.user.name not in users
        users.add(spawner.user.name)
        return "1" if first else "0"

    return value
