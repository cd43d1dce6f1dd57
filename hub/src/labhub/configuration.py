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
# Path relative to the hub's working directory, which is a volume and also contains JupyterHub's cookie secret
ANNOUNCEMENT_FILE = Path("announcement.json")
# Maximum size of all headers of a request, in bytes. With Tornado's default, 64 KiB, the proxy would accept larger
# headers than the hub, and Tornado would close the connection without an answer.
HEADERS_MAX = 128 * 1024
# Maximum size of a request's body, in bytes. The hub reads the body before it authenticates the request. With Tornado's
# default, 100 MB, 20 requests from one lab would exhaust the hub's memory. JupyterHub's largest bodies are lists of
# users.
BODY_MAX = 1024**2
CULLER = "idle-culler"
CULLER_SCOPES = ("list:users", "read:users:activity", "read:servers", "delete:servers")


def configure_login(c: Config, settings: LoginSettings) -> None:
    """Set who may log in, and how often the hub re-checks a membership."""
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
    login.validate_server_cert = True  # otherwise oauthenticator's variable OAUTH_TLS_VERIFY could turn it off
    # `LabAuthenticator.authenticate` applies the rules. This list only prevents a warning that no user may log in.
    login.allowed_organizations = {str(rule) for rule in settings.allowed}
    login.enable_auth_state = True
    login.auth_refresh_age = settings.refresh_seconds  # 0 would also turn off refresh_pre_spawn
    login.refresh_pre_spawn = True
    login.auth_refresh_strict = True  # a lost membership also ends the user's API tokens
    timeouts = {"request_timeout": settings.timeout_seconds, "connect_timeout": settings.timeout_seconds}
    login.http_request_kwargs = timeouts


def configure_logs(c: Config) -> None:
    """Set JSON as the format of log lines."""
    c.JupyterHub.logging_config = logging_config()
    logging.captureWarnings(True)


def configure_requests() -> None:
    """Set the largest request that the hub accepts, with Tornado's documented way to change a default."""
    HTTPServer.configure(None, max_header_size=HEADERS_MAX, max_body_size=BODY_MAX)


def configure(c: Config, settings: LoginSettings) -> None:
    """Set the options that do not depend on where labs run."""
    configure_requests()
    configure_login(c, settings)
    configure_logs(c)


def configure_labs(c: Config, settings: LabSettings) -> None:
    """Set the options of the hub, its proxy and its database, and of labs on Kubernetes."""
    configure_hub(c, settings)
    configure_announcements(c)
    configure_proxy(c, settings)
    configure_database(c, settings.database_url.get_secret_value())
    configure_spawner(c, settings)
    configure_culler(c, settings)


def configure_hub(c: Config, settings: LabSettings) -> None:
    """Set the hub's addresses, timers and limits."""
    c.LabHub.metrics_port = settings.metrics_port
    c.LabHub.lab_namespace = settings.namespace
    c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
    c.JupyterHub.hub_connect_url = settings.connect_url
    c.JupyterHub.cookie_secret_file = "/srv/jupyterhub/cookie_secret"  # noqa: S105  (a path, not a secret)
    # Labs survive a restart of the hub.
    c.JupyterHub.cleanup_servers = False
    # API tokens in the configuration are random, so one round of hashing is enough. JupyterHub's default is 16,384
    # rounds at each request.
    c.JupyterHub.trust_user_provided_tokens = True
    # Minimum time in seconds between two writes of a token's last use. JupyterHub's default, 30 seconds, would cause a
    # write for each activity report of a lab, by default every 15 minutes.
    c.JupyterHub.activity_resolution = 3600
    # Seconds between two measurements of the event loop's delay. The default is 0.05.
    c.PeriodicMetricsCollector.event_loop_interval_resolution = 0.2
    # Seconds after which the hub answers requests, even if it is still checking which labs run
    c.JupyterHub.init_spawners_timeout = 1
    # Seconds between two checks of the routes. A restarted proxy has no routes until the next check.
    c.JupyterHub.last_activity_interval = 60
    # Show the progress page at once.
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
    # No limit on concurrent spawns: JupyterHub would refuse users instead of queueing them. Kubernetes queues pods.
    c.JupyterHub.concurrent_spawn_limit = 0


def configure_announcements(c: Config) -> None:
    """Set where the announcement is stored. The page templates and `LabHub` use the same object."""
    c.JupyterHub.template_vars = {"announcements": AnnouncementStore(ANNOUNCEMENT_FILE)}


def configure_proxy(c: Config, settings: LabSettings) -> None:
    """Set the proxy, which runs in a pod of its own and survives a restart of the hub."""
    c.JupyterHub.cleanup_proxy = False
    c.JupyterHub.proxy_class = LabProxy
    c.LabProxy.should_start = False
    c.LabProxy.api_url = settings.proxy_api_url
    c.LabProxy.auth_token = settings.proxy_token.get_secret_value()


def configure_database(c: Config, url: str) -> None:
    """Set the database. JupyterHub migrates an older schema, and keeps a copy of an SQLite file."""
    c.JupyterHub.db_url = url
    c.JupyterHub.upgrade_db = True


def configure_spawner(c: Config, settings: LabSettings) -> None:
    """Set the menu, the pods and the timeouts of labs."""
    c.JupyterHub.spawner_class = LabSpawner
    spawner = c.LabSpawner
    spawner.pod_settings = settings.pod_settings
    spawner.menu = settings.menu
    spawner.home_provisioner = HomeProvisioner(settings.fileserver_url, settings.fileserver_token.get_secret_value())
    spawner.pull_seconds = settings.pull_seconds
    spawner.lab_seconds = settings.lab_seconds
    spawner.unschedulable_seconds = settings.unschedulable_seconds
    # Longer than the sum of the launcher's timeouts. The launcher's timeouts report a reason to the user, but
    # JupyterHub's timeout does not.
    leftover_seconds = settings.stop_seconds + KUBELET_SECONDS
    launch_seconds = settings.unschedulable_seconds + settings.pull_seconds + settings.lab_seconds
    spawner.start_timeout = int(RETRY_SECONDS) + leftover_seconds + launch_seconds + 60
    # Timeout in seconds for a lab that a restarted hub checks. It has no effect on a normal start, because
    # `LabSpawner.start` returns only when the lab answers.
    spawner.http_timeout = 120
    spawner.default_url = "/lab"
    # No timer for each lab: the reflector reports labs that end, and the reconciler finds those that it missed.
    spawner.poll_interval = 0
    # `LabSpawner` reads the user options itself. Without this function JupyterHub would warn about unused options.
    spawner.apply_user_options = lambda _spawner, _options: None
    # Failed spawns must not restart the hub: the cause can be a missing image.
    spawner.consecutive_failure_limit = 0
    # The scopes of the role `server`. Without them JupyterHub would look up the role at each start.
    spawner.server_token_scopes = ["users:activity!user", "access:servers!server"]


def configure_culler(c: Config, settings: LabSettings) -> None:
    """Set the service that stops idle and old labs."""
    idle, age = settings.idle_seconds, settings.max_age_seconds
    if not idle and not age:
        return
    never = 10**9
    interval = min(600, max(5, min(idle or never, age or never) // 6))
    command = [
        *(sys.executable, "-m", "jupyterhub_idle_culler"),
        # 127.0.0.1 instead of the Service: the hub's NetworkPolicy rejects requests from the hub's own pod.
        "--url=http://127.0.0.1:8081/hub/api",
        *(f"--timeout={idle or never}", f"--max-age={age}", f"--cull-every={interval}"),
    ]
    c.JupyterHub.services = [{"name": CULLER, "command": command}]
    c.JupyterHub.load_roles = [{"name": CULLER, "services": [CULLER], "scopes": list(CULLER_SCOPES)}]
