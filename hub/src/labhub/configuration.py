"""The configuration of the hub."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from traitlets.config import Config

from labhub.login.authenticator import SCOPES, LabAuthenticator
from labhub.labs.home_provisioning import PATIENCE_SECONDS, Folders
from labhub.settings.labs import LabSettings
from labhub.telemetry.logs import logging_config
from labhub.infra.proxy import LabProxy
from labhub.settings.login import Settings
from labhub.labs.spawner import LabSpawner

CONFIG_FILE = Path(__file__).parent / "jupyterhub_config.py"
CULLER = "idle-culler"
TEMPLATES = Path(__file__).parent / "web/templates"


def configure_login(c: Config, settings: Settings) -> None:
    """Assign who may log in, and how often that is looked at again."""
    c.JupyterHub.authenticator_class = LabAuthenticator
    c.JupyterHub.template_paths = [str(TEMPLATES)]
    c.CryptKeeper.keys = [key.get_secret_value() for key in settings.crypt_keys]
    login = c.LabAuthenticator
    login.settings = settings
    login.client_id = settings.client_id
    login.client_secret = settings.client_secret.get_secret_value()
    login.oauth_callback_url = settings.callback_url
    login.github_url = settings.github_url
    login.scope = list(SCOPES)
    login.validate_server_cert = True  # an environment variable of oauthenticator's turns it off
    # `authenticate` decides by the rules; this only keeps JupyterHub from warning that nobody may log in.
    login.allowed_organizations = {str(rule) for rule in settings.allowed}
    login.enable_auth_state = True
    login.auth_refresh_age = settings.refresh_seconds  # 0 would turn refresh_pre_spawn off, too
    login.refresh_pre_spawn = True
    login.auth_refresh_strict = True  # access that has ended has ended for API tokens, too
    timeouts = {"request_timeout": settings.timeout_seconds, "connect_timeout": settings.timeout_seconds}
    login.http_request_kwargs = timeouts


def configure_logs(c: Config) -> None:
    """Assign JSON, one object for each line."""
    c.JupyterHub.logging_config = logging_config()
    logging.captureWarnings(True)


def configure(c: Config, settings: Settings) -> None:
    """Assign everything that is the same whatever spawns the labs."""
    configure_login(c, settings)
    configure_logs(c)


def configure_labs(c: Config, settings: LabSettings) -> None:
    """Assign where the hub runs, and how it spawns labs on Kubernetes."""
    configure_hub(c, settings)
    configure_spawner(c, settings)
    configure_culler(c, settings)


def configure_hub(c: Config, settings: LabSettings) -> None:
    """Assign how the hub is reached, what it keeps, and that its end is nobody else's."""
    c.LabHub.metrics_port = settings.metrics_port
    c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
    c.JupyterHub.hub_connect_url = settings.connect_url
    configure_database(c, settings.database_url.get_secret_value())
    c.JupyterHub.cookie_secret_file = "/srv/jupyterhub/cookie_secret"  # noqa: S105  (where it is, not what)
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.cleanup_proxy = False
    c.JupyterHub.proxy_class = LabProxy
    c.LabProxy.should_start = False
    c.LabProxy.api_url = settings.proxy_api_url
    c.LabProxy.auth_token = settings.proxy_token.get_secret_value()
    # Those of the configuration are made by programs, too: they need not be hashed 16,384 times at each request.
    c.JupyterHub.trust_user_provided_tokens = True
    # When a token was last used is noted to the hour. Labs report each quarter of one, with theirs.
    c.JupyterHub.activity_resolution = 3600
    # How late the loop is, is measured five times a second, not twenty.
    c.PeriodicMetricsCollector.event_loop_interval_resolution = 0.2
    # The hub answers while it looks which labs run.
    c.JupyterHub.init_spawners_timeout = 1
    # A proxy that was started anew has no routes: they are put back after at most this many seconds.
    c.JupyterHub.last_activity_interval = 60
    # The page that waits is shown at once; the labs it waits for may take their time.
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
    # Nobody is refused for coming when everybody does: the queues are Kubernetes'.
    c.JupyterHub.concurrent_spawn_limit = 0


def configure_database(c: Config, url: str) -> None:
    """Assign what the hub keeps, and that an older hub's is migrated; of an SQLite file JupyterHub keeps a copy."""
    c.JupyterHub.db_url = url
    c.JupyterHub.upgrade_db = True


def configure_spawner(c: Config, settings: LabSettings) -> None:
    """Assign what a lab is, and how long it may take."""
    c.JupyterHub.spawner_class = LabSpawner
    spawner = c.LabSpawner
    spawner.site = settings.site
    spawner.menu = settings.menu
    spawner.folders = Folders(settings.fileserver_url, settings.fileserver_token.get_secret_value())
    spawner.namespace = settings.namespace
    spawner.pull_seconds = settings.pull_seconds
    spawner.lab_seconds = settings.lab_seconds
    spawner.unschedulable_seconds = settings.unschedulable_seconds
    # Above what our own waits add up to, which end with a reason: JupyterHub's ends without one.
    spawner.start_timeout = settings.pull_seconds + settings.lab_seconds + int(PATIENCE_SECONDS) + 60
    # Our start returns when the lab answers, so this is for labs that a new hub finds: one that is cut off for a
    # moment is not stopped for it.
    spawner.http_timeout = 120
    spawner.default_url = "/lab"
    # The watch tells of labs that end, and `labhub.lifecycle.reconciler` finds what it missed: no timer for each lab.
    spawner.poll_interval = 0
    # `LabSpawner` takes the choice itself; JupyterHub warns of options that nobody takes.
    spawner.apply_user_options = lambda _spawner, _options: None
    # However many labs fail, the hub goes on: an image that cannot be pulled is no reason to start it anew.
    spawner.consecutive_failure_limit = 0
    # Labs have no volume of their own that would go with them.
    spawner.storage_pvc_ensure = False
    spawner.delete_pvc = False
    spawner.k8s_api_request_timeout = 5
    # What the role `server` has, which JupyterHub would look up at each start.
    spawner.server_token_scopes = ["users:activity!user", "access:servers!server"]


def configure_culler(c: Config, settings: LabSettings) -> None:
    """Assign the service that stops labs which are idle or too old."""
    idle, age = settings.idle_seconds, settings.max_age_seconds
    if not idle and not age:
        return
    never = 10**9
    every = min(600, max(5, min(idle or never, age or never) // 6))
    c.JupyterHub.services = [
        {
            "name": CULLER,
            "command": [
                *(sys.executable, "-m", "jupyterhub_idle_culler"),
                # Not by way of the Service: the hub's NetworkPolicy lets nobody in from there.
                "--url=http://127.0.0.1:8081/hub/api",
                *(f"--timeout={idle or never}", f"--max-age={age}", f"--cull-every={every}"),
            ],
        }
    ]
    scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
    c.JupyterHub.load_roles = [{"name": CULLER, "services": [CULLER], "scopes": scopes}]
