"""Fixtures for tests with a real hub, real labs and a fake GitHub."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from labtesting.contracts import read_contract
from labtesting.github import Account, FakeGitHub, Trouble, run_fake_github
from labtesting.hub_process import HubProcess, free_ports, run_hub, wait_until
from labtesting.visitor import Visitor
from playwright.sync_api import Browser, Page

from tools.parts import PROXY, prepare

# Script that records the content of a page when the page has loaded. The script records it again before the browser
# leaves the page, because other scripts may have changed the page. The script does not use the later event "pagehide",
# because the test would not receive the content.
REPORT = """
for (const type of ["load", "beforeunload"])
  addEventListener(type, () => record(document.documentElement.outerHTML));
"""

CONTRACT = Draft202012Validator(read_contract("audit-event"))
CLIENT_SECRET = "made-up-client-secret"
CONTACT = "help@lsst.example"
# Configuration file of a hub without Kubernetes, whose labs are local processes. The program `jupyterhub` runs this
# hub, so the file applies the patches that `labhub.app` normally applies.
CONFIG = """
import os
import logging
from labhub._patches import apply_patches
from labhub.configuration import configure
from labhub.settings.environment import load_or_exit
from labhub.settings.login import LoginSettings

configure(c, load_or_exit(os.environ, LoginSettings))
apply_patches(logging.getLogger())
"""
# Part of the configuration file that is the same for our hub and for a stock JupyterHub: addresses, labs and logs
PLACE = """
c.JupyterHub.bind_url = {url!r}
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {home!r}
c.Spawner.cmd = [{singleuser!r}]
c.Spawner.args = ["--allow-root"]
c.Spawner.environment = {{"JUPYTERHUB_ACTIVITY_INTERVAL": "3600"}}
c.JupyterHub.log_level = "DEBUG"
c.Authenticator.blocked_users = {{"rascal"}}
c.JupyterHub.services = [{{"name": "observer", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [
    {{"name": "observer", "services": ["observer"],
      "scopes": ["admin:users", "admin:auth_state", "admin:servers", "tokens"]}}
]
"""


def make_proxy() -> list[str]:
    """Install the proxy if necessary, and return the command that starts the proxy."""
    return [str(prepare(PROXY) / PROXY.name / "start-proxy")]


@dataclass
class Site:
    """A hub, the fake GitHub that the hub uses, and the sessions of users."""

    hub: HubProcess
    github: FakeGitHub
    secrets: list[str]
    visitors: list[Visitor] = field(default_factory=list)
    browser_pages: list[str] = field(default_factory=list)
    """HTML of the hub's pages that Chromium has shown."""

    @property
    def world(self) -> Any:
        """The accounts and organizations at the fake GitHub, which a test can change."""
        return self.github.world

    def visitor(self, login: str) -> Visitor:
        """Return a new HTTP session of a user."""
        self.visitors.append(Visitor(self.hub.url, login))
        return self.visitors[-1]

    def member(self, login: str) -> tuple[Visitor, Account]:
        """Create an account, add it to the organization `lsst-sqre`, and log in with it."""
        account: Account = self.world.add_account(login, email=f"{login}@example.org")
        self.world.find_organization("lsst-sqre").members[account.id] = "active"
        visitor = self.visitor(login)
        assert visitor.log_in().status_code == 200
        assert visitor.is_logged_in()
        return visitor, account

    def events(self, event: str, user: str) -> list[dict[str, Any]]:
        """Return the audit events about one user with one action, for example `login`."""
        return [line for line in self.hub.events if line["event.action"] == event and line.get("user.name") == user]

    @contextmanager
    def trouble(self, kind: Any, path: str = "/api/v3") -> Iterator[None]:
        """Let requests to the fake GitHub fail in the given way until the end of the `with` block."""
        self.world.trouble = Trouble(kind, path)
        try:
            yield
        finally:
            self.world.trouble = None

    def last_outcome(self, user: str) -> str:
        """Return the outcome of a user's last membership check, or an empty text."""
        outcomes = [event["hub.outcome"] for event in self.events("refresh", user)]
        return str(outcomes[-1]) if outcomes else ""

    def api_token(self, user: str) -> str:
        """Create and return an API token of a user. `leaks` also searches for this token."""
        self.secrets.append(str(self.hub.api("POST", f"/users/{user}/tokens", json={}).json()["token"]))
        return self.secrets[-1]

    def token_works(self, token: str) -> bool:
        """Return whether the hub accepts an API token."""
        return self.visitor("api").get("/hub/api/user", headers={"Authorization": f"token {token}"}).status_code == 200

    def lab_runs(self, user: str) -> bool:
        """Return whether the hub's REST API reports that the user's lab is ready."""
        return bool(self.hub.user(user)["servers"].get("", {}).get("ready"))  # type: ignore[index]

    def stop_lab(self, user: str) -> None:
        """Stop the user's lab, and wait until the hub reports this."""
        self.hub.api("DELETE", f"/users/{user}/server")
        wait_until(lambda: not self.lab_runs(user), f"the lab of {user} stops")

    @contextmanager
    def browse(self, browser: Browser, width: int = 1100, height: int = 760) -> Iterator[Page]:
        """Yield a page of Chromium in a new session, and record each page of the hub that it shows, for `leaks`."""
        context = browser.new_context(viewport={"width": width, "height": height})
        context.expose_binding("record", lambda source, text: self._record(source["frame"].url, text))
        context.add_init_script(REPORT)
        page = context.new_page()
        try:
            yield page
            self._record(page.url, page.content())
        finally:
            context.close()

    def _record(self, url: str, text: str) -> None:
        if url.startswith(self.hub.url):
            self.browser_pages.append(text)

    def leaks(self) -> list[str]:
        """Return the secrets that the hub's log or a page of the hub contains."""
        states = [state for visitor in self.visitors for state in visitor.states]
        pages = [*self.browser_pages, *(page for visitor in self.visitors for page in visitor.pages)]
        text = "\n".join([self.hub.log, *pages])
        return [secret for secret in {*self.secrets, *self.world.issued, *states} if secret in text]


def login_settings(github_url: str, callback: str) -> dict[str, str]:
    """Return the login settings of a hub that re-checks memberships every second. They lack the encryption key."""
    return {
        "GITHUB_CLIENT_ID": "labhub-test",
        "GITHUB_CLIENT_SECRET": CLIENT_SECRET,
        "OAUTH_CALLBACK_URL": callback,
        "GITHUB_URL": github_url,
        "GITHUB_ORGANIZATION_WHITELIST": "lsst-sqre, rubin:pilots",
        "GITHUB_REFRESH_SECONDS": "1",
        "GITHUB_TIMEOUT_SECONDS": "2",
        "SUPPORT_CONTACT": CONTACT,
    }


@contextmanager
def run_site(
    folder: Path, config: str = CONFIG, program: Sequence[str] = ("-m", "jupyterhub"), **settings: str
) -> Iterator[Site]:
    """Run a hub and a fake GitHub. At the end, check that the hub's log and pages contain no secret."""
    port, hub_port, proxy_port = free_ports(3)
    url, token, crypt_key = f"http://127.0.0.1:{port}", secrets.token_hex(16), secrets.token_hex(32)
    callback = f"{url}/hub/oauth_callback"
    key_file = folder / "crypt_key"
    key_file.write_text(crypt_key)
    place = PLACE.format(
        url=url,
        hub_port=hub_port,
        proxy_port=proxy_port,
        proxy=make_proxy(),
        home=str(folder / "home/{username}"),
        singleuser=str(Path(sys.prefix) / "bin/jupyterhub-singleuser"),
        token=token,
    )
    with run_fake_github(callback, client_secret=CLIENT_SECRET) as github:
        environment = login_settings(github.url, callback) | {"JUPYTERHUB_CRYPT_KEY_FILE": str(key_file)}
        keeper = github.world.add_account("keeper")
        github.world.add_organization("lsst-sqre", keeper)
        github.world.add_organization("rubin", keeper, pilots=[keeper], admins=[keeper])
        with run_hub(config + place, environment | settings, folder, token, url, program) as hub:
            site = Site(hub, github, [CLIENT_SECRET, crypt_key, token])
            yield site
            for visitor in site.visitors:
                visitor.http.close()
            assert site.leaks() == []
            assert "Traceback" not in hub.log
            for event in hub.events:
                CONTRACT.validate(event)


@pytest.fixture(scope="session")
def start_site() -> Callable[..., Any]:
    """Return the function `run_site`, with which a test starts a hub of its own."""
    return run_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start a hub that re-checks memberships every second. All tests share this hub, but create their own users."""
    with run_site(tmp_path_factory.mktemp("hub"), GITHUB_ADMINS="rubin:admins") as site:
        yield site
