"""Our hub and stock JupyterHub with KubeSpawner, each as a process with a separate proxy."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from labtesting.fileserver import TOKEN, Labfiles
from labtesting.github import FakeGitHub, run_fake_github
from labtesting.hub_process import free_ports, wait_until

from benchmarks.scaling.hollow import NAMESPACES, running
from hub.tests.integration.conftest import make_proxy

TICKS_PER_SECOND = 100  # Linux's USER_HZ: times in /proc are in units of 1 / USER_HZ seconds
START_SECONDS = 300
ORGANIZATION = "lsst-sqre"
# Configuration for both hubs: addresses, database, and a service with the benchmark's API token.
# The simulated labs do not call the hub.
COMMON = """
c.JupyterHub.bind_url = "{url}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.JupyterHub.hub_connect_url = "http://127.0.0.1:{hub_port}"
c.JupyterHub.cookie_secret_file = "cookie_secret"
c.JupyterHub.db_url = "{database}"
c.JupyterHub.services = [{{"name": "bench", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [{{
    "name": "bench",
    "scopes": ["admin:servers", "admin:users", "list:users", "read:users", "proxy", "read:metrics", "users:activity"],
    "services": ["bench"],
}}]
"""
OURS = """
import os

from labhub.settings.environment import load_or_exit
from labhub.configuration import configure, configure_labs
from labhub.settings.labs import LabSettings
from labhub.settings.login import LoginSettings

c = get_config()
configure(c, load_or_exit(os.environ, LoginSettings))
configure_labs(c, load_or_exit(os.environ, LabSettings))
"""
STOCK = """
from kubernetes_asyncio.client import Configuration
from kubespawner.clients import load_config

# benchmarks/spawning/stock-hub/manifests.yaml gives the reason for these lines.
load_config(host="", ssl_ca_cert="", verify_ssl=None)
configuration = Configuration.get_default_copy()
configuration.disable_strict_ssl_verification = True
Configuration.set_default(configuration)

c = get_config()
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = "{proxy_url}"
c.ConfigurableHTTPProxy.auth_token = "{token}"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.KubeSpawner.namespace = "{namespace}"
c.KubeSpawner.image = "example.org/not-pulled:0"
# The default allows 100 pending spawns, and refuses more with status 429. Failed spawns do not stop the hub.
c.JupyterHub.concurrent_spawn_limit = 0
c.Spawner.consecutive_failure_limit = 0
c.Spawner.http_timeout = 300
# If KubeSpawner misses the change of a pod, the spawn waits until this timeout, and counts as failed.
c.Spawner.start_timeout = 120
"""
MENU = """
[[images]]
key = "hollow"
title = "Hollow"
image = "example.org/not-pulled:0"

[[sizes]]
key = "small"
title = "Small"
cpu = "1"
memory = "1Gi"
"""


class HubError(Exception):
    """The error if a hub does not run. The message has the path of the hub's log."""


@dataclass
class Hub:
    """A hub with its proxy. The benchmark can kill, pause and start the hub.

    Attributes
    ----------
    url
        URL of the proxy.
    hub_url
        URL of the hub without the proxy, for requests that must not wait for a busy proxy.
    proxy_url
        URL of the proxy's API.
    token
        API token of the benchmark's service.
    github
        The simulated GitHub through which users log in. None for stock JupyterHub, where users log in by name.
    """

    title: str
    folder: Path
    program: Sequence[str]
    environ: dict[str, str]
    url: str
    hub_url: str
    proxy_url: str
    token: str
    github: FakeGitHub | None
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the hub, without waiting until it answers."""
        with (self.folder / "hub.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, "--config", "config.py"],
                cwd=self.folder,
                env=os.environ | self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_until_up(self) -> None:
        """Wait until the hub answers. Raise a HubError if the hub ends."""
        wait_until(self.is_up, f"{self.title} answers (log: {self.folder}/hub.log)", START_SECONDS)

    def is_up(self) -> bool:
        """Return whether the hub answers. Raise a HubError if the hub has ended."""
        if self.process is None or self.process.poll() is not None:
            raise HubError(f"the hub {self.title} ended, see {self.folder}/hub.log")
        try:
            return httpx.get(f"{self.hub_url}/hub/health", timeout=60).status_code == 200
        except httpx.TransportError:
            return False

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal that ends the hub, and wait for the end of the process."""
        if self.process:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    @property
    def namespace(self) -> str:
        """The namespace of the hub's labs."""
        return NAMESPACES[self.title]

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Pause the hub's process until the end of the block."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    @property
    def pid(self) -> int:
        """The process id of the hub."""
        if self.process is None:
            raise HubError(f"the hub {self.title} is not running")
        return self.process.pid

    def cpu(self) -> float:
        """Return the CPU time of the hub in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def memory(self) -> float:
        """Return the memory of the hub in MiB (VmRSS)."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@contextmanager
def run(title: str, folder: Path, database: str) -> Iterator[Hub]:
    """Run our hub ("ours") or stock JupyterHub ("stock") with a proxy until the end of the block."""
    folder.mkdir()
    public, hub_port, proxy_port = free_ports(3)
    token, key = secrets.token_hex(32), secrets.token_hex(32)
    url, proxy_url = f"http://127.0.0.1:{public}", f"http://127.0.0.1:{proxy_port}"
    settings = {"url": url, "hub_port": hub_port, "database": database, "token": token}
    hub_url = f"http://127.0.0.1:{hub_port}"
    proxy: list[str | Path] = [*make_proxy(), "--ip=127.0.0.1", f"--port={public}", "--api-ip=127.0.0.1"]
    proxy += [f"--api-port={proxy_port}", f"--default-target={hub_url}", f"--error-target={hub_url}/hub/error"]
    os.environ["CONFIGPROXY_AUTH_TOKEN"] = token
    with ExitStack() as stack:
        stack.enter_context(running(proxy, folder / "proxy.log"))
        if title == "stock":
            (folder / "config.py").write_text(
                STOCK.format(proxy_url=proxy_url, token=token, namespace=NAMESPACES[title]) + COMMON.format(**settings)
            )
            hub = Hub(title, folder, ("-m", "jupyterhub"), {}, url, hub_url, proxy_url, token, None)
        else:
            (folder / "config.py").write_text(OURS + COMMON.format(**settings))
            (folder / "menu.toml").write_text(MENU)
            github = stack.enter_context(run_fake_github(f"{url}/hub/oauth_callback"))
            github.world.add_organization(ORGANIZATION)
            (folder / "storage").mkdir()
            labfiles = Labfiles(folder / "storage", folder)
            stack.callback(labfiles.stop)
            labfiles.wait_until_ready()
            environ = {
                "JUPYTERHUB_CRYPT_KEY": key,
                "GITHUB_CLIENT_ID": "labhub-test",
                "GITHUB_CLIENT_SECRET": "made-up-client-secret",
                "OAUTH_CALLBACK_URL": f"{url}/hub/oauth_callback",
                "GITHUB_URL": github.url,
                "GITHUB_ORGANIZATION_WHITELIST": ORGANIZATION,
                "PROXY_API_URL": proxy_url,
                "CONFIGPROXY_AUTH_TOKEN": token,
                "FILESERVER_URL": labfiles.url,
                "FILESERVER_TOKEN": TOKEN,
                "LAB_MENU": str(folder / "menu.toml"),
                "LAB_NAMESPACE": NAMESPACES[title],
                "LAB_GROUPS_POLICY": "Merge",
                # The value 0 disables these limits, so that the hub does not start the culler. The culler is a separate
                # program, which this benchmark does not measure.
                "LAB_IDLE_SECONDS": "0",
                "LAB_MAX_AGE_SECONDS": "0",
                "HUB_METRICS_PORT": str(free_ports(1)[0]),
            }
            hub = Hub(title, folder, ("-m", "labhub"), environ, url, hub_url, proxy_url, token, github)
        hub.start()
        try:
            hub.wait_until_up()
            yield hub
        finally:
            hub.end(signal.SIGKILL)
