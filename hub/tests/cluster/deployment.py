"""A hub that the tests deploy from its manifests, and the sessions of the hub's users."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import trustme
from labtesting import cluster
from labtesting.cluster import LABS, NAMESPACE, kubectl
from labtesting.github import Account, FakeGitHub, run_fake_github
from labtesting.hub_process import wait_until
from labtesting.labclient import LabClient
from labtesting.visitor import Visitor

from hub.tests.cluster.node import node_command, own_address
from hub.tests.cluster.objects import ADMIN_ID, ROOT, URL, fileserver, node_port, settings

MANIFESTS = ROOT / "hub/kubernetes"


@dataclass
class Deployment:
    """A hub that runs on the cluster, and the sessions of the hub's users."""

    github: FakeGitHub
    tls: ssl.SSLContext
    token: str = ""
    visitors: list[Visitor] = field(default_factory=list)
    url: str = URL

    def visitor(self, login: str) -> Visitor:
        """Start a new session of a user."""
        self.visitors.append(Visitor(URL, login, self.tls))
        return self.visitors[-1]

    def member(self, login: str, *others: str) -> tuple[Visitor, Account]:
        """Create an account, add it to the allowed organization and to other organizations, and log in with it."""
        world = self.github.world
        account: Account = world.add_account(login)
        for name in ("lsst-sqre", *others):
            self.join(account, name)
        visitor = self.visitor(login)
        page = visitor.log_in()
        assert page.status_code == 200, page.text
        return visitor, account

    def join(self, account: Account, organization: str) -> None:
        """Add an account to an organization at the fake GitHub."""
        joined = self.github.world.find_organization(organization)
        assert joined is not None
        joined.members[account.id] = "active"

    def api(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send a request to the hub's REST API as the administrator."""
        headers = {"Authorization": f"token {self.token}"}
        # Repeat the request, because on a busy machine the proxy can be unready for a short time. The proxy's Service
        # then refuses connections.
        transport = httpx.HTTPTransport(retries=5)
        with httpx.Client(transport=transport, headers=headers, timeout=60) as client:
            return client.request(method, f"{URL}/hub/api{path}", **arguments)

    def is_up(self) -> bool:
        """Return whether the hub answers a request that goes through the proxy."""
        try:
            return httpx.get(f"{URL}/hub/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def lab(self, account: Account) -> str:
        """Return the name of the pod of a user's lab."""
        return f"lab-{account.id}"

    def run(self, account: Account, *command: str) -> str:
        """Run a command in a user's lab, as the user."""
        return kubectl("exec", self.lab(account), "--namespace", LABS, "--container", "notebook", "--", *command)

    def server(self, user: str) -> dict[str, Any]:
        """Return the hub's REST API object of a user's lab, or an empty dictionary if the user has no lab."""
        model: dict[str, Any] = self.api("GET", f"/users/{user}").json()["servers"].get("", {})
        return model

    def progress(self, user: str) -> str:
        """Wait until the lab of a user is ready or has failed, and return all progress events of the spawn."""
        return self.api("GET", f"/users/{user}/server/progress").text

    def wait_stopped(self, user: str) -> None:
        """Wait until the hub's REST API reports that a user has no lab."""
        wait_until(lambda: not self.server(user), f"the lab of {user} has stopped")

    def client(self, visitor: Visitor, user: str) -> LabClient:
        """Return a client of a user's lab. The client logs in to the lab with the user's session at the hub."""
        lab = LabClient(URL, user)
        lab.http.close()
        lab.http = visitor.http
        return lab

    def log(self) -> str:
        """Return the hub's log."""
        return kubectl("logs", "deployment/hub", "--namespace", NAMESPACE, "--tail=-1")

    def metric(self, name: str, **labels: str) -> float:
        """Return the value of a metric of the hub. The request runs in the hub's pod."""
        script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9464/metrics').read().decode())"
        text = kubectl("exec", "deployment/hub", "--namespace", NAMESPACE, "--", "python", "-c", script)
        pairs = {f'{key}="{value}"' for key, value in labels.items()}
        for line in text.splitlines():
            if line.startswith(name) and all(pair in line for pair in pairs):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def restart_hub(self) -> None:
        """Replace the hub's pod, as an upgrade does."""
        kubectl("rollout", "restart", "deployment/hub", "--namespace", NAMESPACE)
        cluster.wait_for_rollout("hub")
        wait_until(self.is_up, "the hub answers")

    def kill_hub(self) -> None:
        """Kill the hub's process with SIGKILL. kubelet then restarts the hub's container."""
        kill = "kill -9 $(cat /proc/1/task/1/children)"
        kubectl("exec", "deployment/hub", "--namespace", NAMESPACE, "--", "sh", "-c", kill)


def administrator_token(deployment: Deployment) -> str:
    """Log in as the administrator, and create an API token."""
    visitor = deployment.visitor("chief")
    visitor.log_in()
    response = visitor.http.post("/hub/api/users/chief/tokens", headers=visitor.xsrf(), json={})
    assert response.status_code == 201, response.text
    return str(response.json()["token"])


@contextmanager
def run_github(authority: trustme.CA) -> Iterator[FakeGitHub]:
    """Run a fake GitHub with HTTPS at an address that the cluster's pods and this machine can reach."""
    address = own_address()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(address).configure_cert(tls)
    with run_fake_github(f"{URL}/hub/oauth_callback", host=address, tls=tls) as server:
        for name in ("lsst-sqre", "rubin", "desc"):
            server.world.add_organization(name)
        yield server


@contextmanager
def deploy(github: FakeGitHub, authority: trustme.CA) -> Iterator[Deployment]:
    """Deploy the hub as hub/README.md describes. At the end, delete all Kubernetes objects and files of the test."""
    with cluster.own_namespaces():
        try:
            for name in ("00-namespace", "labs-namespace"):
                kubectl("apply", "--filename", MANIFESTS / f"{name}.yaml")
            cluster.apply(*settings(github, authority), node_port())
            kubectl("apply", "--filename", "-", stdin=fileserver())
            cluster.wait_for_rollout("fileserver")
            kubectl("apply", "--filename", MANIFESTS)
            cluster.wait_for_rollout("proxy")
            cluster.wait_for_rollout("hub")
            tls = ssl.create_default_context()
            authority.configure_trust(tls)
            deployment = Deployment(github, tls)
            cluster.wait_for_kube_proxy()
            wait_until(deployment.is_up, "the hub answers through the proxy")
            deployment.join(github.world.add_account("chief", ADMIN_ID), "lsst-sqre")
            deployment.token = administrator_token(deployment)
            yield deployment
        finally:
            node_command("hub-test-remove", "rm -rf /storage/*")
