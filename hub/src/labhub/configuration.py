"""JupyterHub's configuration, derived from the settings."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from tornado.httpserver import HTTPServer
from traitlets.config import Config

from labhub.infra.announcement_store import AnnouncementStore
from labhub.infra.proxy import LabProxy
from labhub.labs.home_provisioning import RETRY_SECONDS, HomeProvisioner
from labhub.labs.pod_removal import KUBELET_SECONDS
from labhub.labs.spawner import LabSpawner
from labhub.login.authenticator import SCOPES, LabAuthenticator
from labhub.settings.labs import LabSettings
from labhub.settings.login import LoginSettings
from labhub.telemetry.logs import logging_config

CONFIG_FILE = Path(__file__).parent / "jupyterhub_config.py"
TEMPLATES = Path(__file__).parent / "web/templates"
# File name in the hub's working directory. The directory is on a volume, which also contains JupyterHub's cookie
# secret.
ANNOUNCEMENT_FILE = Path("announcement.json")
# Maximum size of all headers of a request, in bytes. Tornado's default is 64 KiB, which is less than the proxy accepts.
# With this default, Tornado would close the connection of a request with larger headers, without an answer.
HEADERS_MAX = 128 * 1024
# Maximum size of a request's body, in bytes. The hub reads the body before it authenticates the request. With Tornado's
# default, 100 MB, 20 requests from one lab would exhaust the hub's memory. The largest bodies that JupyterHub needs are
# lists of users.
BODY_MAX = 1024**2
CULLER = "idle-culler"
CULLER_SCOPES = ("list:users", "read:users:activity", "read:servers", "delete:servers")


def configure_login(c: Config, settings: LoginSettings) -> None:
    """Set the options of the login: GitHub's OAuth app, the access rules, and the interval of the membership checks."""
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
    login.validate_server_cert = True  # so that the variable OAUTH_TLS_VERIFY cannot turn the check off
    # `LabAuthenticator.authenticate` applies the access rules. Without this list, oauthenticator would warn that no
    # user may log in.
    login.allowed_organizations = {str(rule) for rule in settings.allowed}
    login.enable_auth_state = True
    login.auth_refresh_age = settings.refresh_seconds  # with 0, JupyterHub would ignore refresh_pre_spawn
    login.refresh_pre_spawn = True
    login.auth_refresh_strict = True  # a lost membership also ends the user's API tokens
    timeouts = {"request_timeout": settings.timeout_seconds, "connect_timeout": settings.timeout_seconds}
    login.http_request_kwargs = timeouts


def configure_logs(c: Config) -> None:
    """Set JSON as the format of log lines."""
    c.JupyterHub.logging_config = logging_config()
    logging.captureWarnings(True)


def configure_requests() -> None:
    """Set the maximum sizes of a request's headers and body. Tornado documents this way to change its defaults."""
    HTTPServer.configure(None, max_header_size=HEADERS_MAX, max_body_size=BODY_MAX)


def configure(c: Config, settings: LoginSettings) -> None:
    """Set the options that are the same for labs on Kubernetes and for labs as local processes."""
    configure_requests()
    configure_login(c, settings)
    configure_logs(c)


def configure_labs(c: Config, settings: LabSettings) -> None:
    """Set the options of a hub whose labs run on Kubernetes: hub, proxy, database, labs and culler."""
    configure_hub(c, settings)
    configure_announcements(c)
    configure_proxy(c, settings)
    configure_database(c, settings.database_url.get_secret_value())
    configure_spawner(c, settings)
    configure_culler(c, settings)


def configure_hub(c: Config, settings: LabSettings) -> None:
    """Set the options of the hub's own process: addresses, timers and limits."""
    c.LabHub.metrics_port = settings.metrics_port
    c.LabHub.lab_namespace = settings.namespace
    c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
    c.JupyterHub.hub_connect_url = settings.connect_url
    c.JupyterHub.cookie_secret_file = "/srv/jupyterhub/cookie_secret"  # noqa: S105  (a path, not a secret)
    # Labs continue to run when the hub stops.
    c.JupyterHub.cleanup_servers = False
    # Rounds of hashing for API tokens in the configuration. One round is enough, because these tokens are random.
    # JupyterHub's default is 16,384 rounds, which it repeats at each request.
    c.JupyterHub.trust_user_provided_tokens = True
    # Minimum time in seconds before JupyterHub stores a new time of a token's last use. With JupyterHub's default, 30
    # seconds, each activity report of a lab would cause a write to the database.
    c.JupyterHub.activity_resolution = 3600
    # Seconds between two measurements of the event loop's delay. JupyterHub's default is 0.05. The larger value saves
    # CPU time.
    c.PeriodicMetricsCollector.event_loop_interval_resolution = 0.2
    # Seconds after which a starting hub answers requests, even if it is still checking which labs run
    c.JupyterHub.init_spawners_timeout = 1
    # Seconds between two checks of the routes. A restarted proxy has no routes until the next check.
    c.JupyterHub.last_activity_interval = 60
    # Redirect from the spawn page to the progress page at once, without waiting for the lab.
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
    # No limit on concurrent spawns. With a limit, JupyterHub would refuse further users. Kubernetes queues pods
    # instead.
    c.JupyterHub.concurrent_spawn_limit = 0


def configure_announcements(c: Config) -> None:
    """Set where the announcement is stored. The page templates and `LabHub` use the same object."""
    c.JupyterHub.template_vars = {"announcements": AnnouncementStore(ANNOUNCEMENT_FILE)}


def configure_proxy(c: Config, settings: LabSettings) -> None:
    """Set the options of the proxy, which runs in a pod of its own and continues to run when the hub stops."""
    c.JupyterHub.cleanup_proxy = False
    c.JupyterHub.proxy_class = LabProxy
    c.LabProxy.should_start = False
    c.LabProxy.api_url = settings.proxy_api_url
    c.LabProxy.auth_token = settings.proxy_token.get_secret_value()


def configure_database(c: Config, url: str) -> None:
    """Set the options of the database. JupyterHub migrates an older schema, and keeps a copy of an SQLite file."""
    c.JupyterHub.db_url = url
    c.JupyterHub.upgrade_db = True


def configure_spawner(c: Config, settings: LabSettings) -> None:
    """Set the options of the spawner: the menu, the labs' pods and the timeouts."""
    c.JupyterHub.spawner_class = LabSpawner
    spawner = c.LabSpawner
    spawner.pod_settings = settings.pod_settings
    spawner.menu = settings.menu
    spawner.home_provisioner = HomeProvisioner(settings.fileserver_url, settings.fileserver_token.get_secret_value())
    spawner.pull_seconds = settings.pull_seconds
    spawner.lab_seconds = settings.lab_seconds
    spawner.unschedulable_seconds = settings.unschedulable_seconds
    # JupyterHub's timeout of a start is longer than the sum of the launcher's timeouts. So the launcher's timeouts end
    # a slow start, and the user sees the reason. JupyterHub's timeout would show no reason.
    leftover_seconds = settings.stop_seconds + KUBELET_SECONDS
    launch_seconds = settings.unschedulable_seconds + settings.pull_seconds + settings.lab_seconds
    spawner.start_timeout = int(RETRY_SECONDS) + leftover_seconds + launch_seconds + 60
    # Timeout in seconds for a lab that a restarted hub checks. This timeout has no effect on a normal start, because
    # `LabSpawner.start` returns only when the lab answers.
    spawner.http_timeout = 120
    spawner.default_url = "/lab"
    # Do not poll each lab regularly, because the reflector reports a lab that ends. If the reflector misses the end of
    # a lab, the reconciler finds it.
    spawner.poll_interval = 0
    # `LabSpawner` reads the user options itself. Without this function JupyterHub would warn about unused options.
    spawner.apply_user_options = lambda _spawner, _options: None
    # With 0, failed spawns never restart the hub. A restart would not help, for example if an image is missing.
    spawner.consecutive_failure_limit = 0
    # The scopes of JupyterHub's role `server`. If this setting was empty, JupyterHub would read the role from its
    # database at each start of a lab.
    spawner.server_token_scopes = ["users:activity!user", "access:servers!server"]


def configure_culler(c: Config, settings: LabSettings) -> None:
    """Set the options of the culler, the service that stops idle labs and labs above the maximum age."""
    idle, age = settings.idle_seconds, settings.max_age_seconds
    if not idle and not age:
        return
    never = 10**9
    interval = min(600, max(5, min(idle or never, age or never) // 6))
    command = [
        *(sys.executable, "-m", "jupyterhub_idle_culler"),
        # Use 127.0.0.1 instead of the Service, because the hub's NetworkPolicy rejects requests that the hub's own pod
        # sends to the Service.
        "--url=http://127.0.0.1:8081/hub/api",
        *(f"--timeout={idle or never}", f"--max-age={age}", f"--cull-every={interval}"),
    ]
    c.JupyterHub.services = [{"name": CULLER, "command": command}]
    c.JupyterHub.load_roles = [{"name": CULLER, "services": [CULLER], "scopes": list(CULLER_SCOPES)}]
