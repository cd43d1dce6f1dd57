"""The configuration of a hub that one user runs, in the standalone image and in the demo."""

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

# With setpriv, Linux ends the labs and the proxy when the hub ends for any reason. Without a hub they are useless.
END_WITH_PARENT = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
CONFIG_FILE = Path(__file__).parent / "jupyterhub_config.py"


def configure(c: Config, settings: Settings) -> None:
    """Assign the options of the proxy, the hub, the login and the labs."""
    configure_hub(c, settings)
    configure_login(c, settings)
    configure_labs(c, settings)


def configure_hub(c: Config, settings: Settings) -> None:
    """Assign the addresses and files of the hub and its proxy."""
    c.JupyterHub.bind_url = f"http://{settings.ip}:{settings.port}"
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{settings.hub_port}"
    c.JupyterHub.db_url = f"sqlite:///{settings.state}/jupyterhub.sqlite"
    c.JupyterHub.cookie_secret_file = str(settings.state / "cookie_secret")
    # More log lines would push the login, which is printed at the start, off the screen.
    c.JupyterHub.log_level = "WARN"
    c.ConfigurableHTTPProxy.log_level = "warn"
    # This raises the hub's limit, too: the proxy accepts larger headers than Tornado's default, 64 KiB.
    HTTPServer.configure(None, max_header_size=HEADERS_MAX)
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{settings.proxy_api_port}"
    c.ConfigurableHTTPProxy.pid_file = str(settings.state / "proxy.pid")
    # The script replaces itself by Node.js (`exec`), so the hub's SIGTERM reaches Node.js.
    c.ConfigurableHTTPProxy.command = [*END_WITH_PARENT, str(settings.proxy / "start-proxy")]


def configure_login(c: Config, settings: Settings) -> None:
    """Assign the user who may log in and the authenticator."""
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
    """Assign the options of labs, which run as processes of the hub's own user.

    JupyterHub warns that this spawner does not isolate users. That is acceptable with one user.
    """
    c.JupyterHub.spawner_class = "simple"
    home = "/home/{username}" if settings.login == "pam" else f"{settings.state}/home/{{username}}"
    c.SimpleLocalProcessSpawner.home_dir_template = home
    c.Spawner.cmd = [*END_WITH_PARENT, str(settings.command)]
    c.Spawner.default_url = "/lab"
    c.Spawner.env_keep = ["PATH", "LANG", "LC_ALL", "TZ", "LAB_SCRATCH", "JUPYTER_RUNTIME_DIR"]
    if settings.clean_settings:
        c.Spawner.environment = {"LAB_CLEAN_SETTINGS": request_clean_settings()}
    if os.getuid() == 0:  # the user runs the demo as root
        c.Spawner.args = ["--allow-root"]


def request_clean_settings() -> Callable[[Any], str]:
    """Return a function that requests clean settings for the first lab of each user. JupyterHub calls it per start."""
    users: set[str] = set()

    def value(spawner: Any) -> str:
        first = spawner.user.name not in users
        users.add(spawner.user.name)
        return "1" if first else "0"

    return value
