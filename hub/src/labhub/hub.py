"""The configuration of the hub: login and logs. How labs are spawned is none of its business."""

from __future__ import annotations

import logging
from pathlib import Path

from traitlets.config import Config

from labhub.authenticator import SCOPES, LabAuthenticator
from labhub.logs import logging_config
from labhub.settings import Settings

CONFIG_FILE = Path(__file__).parent / "jupyterhub_config.py"
TEMPLATES = Path(__file__).parent / "templates"


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
