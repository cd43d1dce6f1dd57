"""The hub on a real cluster: its manifests as they are, its image, a GitHub of our own, labs that are pods."""

from __future__ import annotations

import base64
import secrets
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from labtesting import cluster
from labtesting.cluster import LABS, NAMESPACE, kubectl
from labtesting.github import Account, FakeGitHub, run_fake_github
from labtesting.hub_process import wait_until
from labtesting.labclient import LabClient
from labtesting.visitor import Visitor

from tools.components import version

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT / "hub/kubernetes"
NODE_PORT = 30080
ORPHAN, STRANGER = "lab-4711", "stranger"
LIKE_A_LAB = {"app.kubernetes.io/part-of": "jupyterlabdemo", "app.kubernetes.io/component": "lab"}
URL = f"http://127.0.0.1:{NODE_PORT}"
# The folder of the node's where homes lie, and the one of a site that has no NFS
STORAGE, SITE_STORAGE = "/var/tmp/jupyterlabdemo-test-storage", "/var/lib/jupyterlabdemo"
ADMIN_ID = 4242
MENU = """
[[images]]
key = "recommended"
title = "Recommended"
description = "JupyterLab with the part of the LSST stack that is on PyPI"
image = "lsstsqre/jupyterlabdemo:{version}"

[[images]]
key = "missing"
title = "Not there"
image = "localhost:1/nobody/has-this:0"

[[images]]
key = "broken"
title = "Ends at once"
image = "lsstsqre/jupyterlabdemo-hub:{version}"

[[sizes]]
key = "small"
title = "Small"
description = "Notebooks, small tables, writing"
cpu = "1"
memory = "1Gi"
cpu_request = "50m"
memory_request = "128Mi"

[[sizes]]
key = "tiny"
title = "Tiny"
description = "Ends when it wants more than it has"
cpu = "1"
memory = "300Mi"

[[sizes]]
key = "impossible"
title = "Impossible"
cpu = "4000"
memory = "64Ti"
"""


@dataclass
class Deployment:
    """A running hub, and the people who come by."""

    github: FakeGitHub
    tls: ssl.SSLContext
    token: str = ""
    visitors: list[Visitor] = field(default_factory=list)
    url: str = URL

    def visitor(self, login: str) -> Visitor:
        """Give somebody a new session."""
        self.visitors.append(Visitor(URL, login, self.tls))
        return self.visitors[-1]

    def member(self, login: str, *others: str) -> tuple[Visitor, Account]:
        """Make somebody a member of the allow-listed organization and of others, and let them in."""
        world = self.github.world
        account: Account = world.add_account(login)
        for name in ("lsst-sqre", *others):
            self.join(account, name)
        visitor = self.visitor(login)
        page = visitor.log_in()
        assert page.status_code == 200, page.text
        return visitor, account

    def join(self, account: Account, organization: str) -> None:
        """Make somebody a member."""
        found = self.github.world.find_organization(organization)
        assert found is not None
        found.members[account.id] = "active"

    def api(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Call the hub's REST API as the administrator."""
        headers = {"Authorization": f"token {self.token}"}
        # A machine that is busy may take the proxy out of its Service for a moment.
        transport = httpx.HTTPTransport(retries=5)
        with httpx.Client(transport=transport, headers=headers, timeout=60) as client:
            return client.request(method, f"{URL}/hub/api{path}", **arguments)

    def is_up(self) -> bool:
        """Tell whether hub and proxy answer."""
        try:
            return httpx.get(f"{URL}/hub/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def lab(self, account: Account) -> str:
        """Name the pod of an account."""
        return f"lab-{account.id}"

    def run(self, account: Account, *command: str) -> str:
        """Run a command in somebody's lab, as they are there."""
        return kubectl("exec", self.lab(account), "--namespace", LABS, "--container", "notebook", "--", *command)

    def server(self, user: str) -> dict[str, Any]:
        """Give what the hub says of somebody's lab; nothing if there is none."""
        found: dict[str, Any] = self.api("GET", f"/users/{user}").json()["servers"].get("", {})
        return found

    def progress(self, user: str) -> str:
        """Give what the page that waits is told, until the lab is there or has failed."""
        return self.api("GET", f"/users/{user}/server/progress").text

    def wait_stopped(self, user: str) -> None:
        """Wait until the hub has no lab of somebody's."""
        wait_until(lambda: not self.server(user), f"the lab of {user} stops")

    def client(self, visitor: Visitor, user: str) -> LabClient:
        """Give a client of somebody's lab, with their session."""
        lab = LabClient(URL, user)
        lab.http.close()
        lab.http = visitor.http
        return lab

    def log(self) -> str:
        """Give the hub's log."""
        return kubectl("logs", "deployment/hub", "--namespace", NAMESPACE, "--tail=-1")

    def metric(self, name: str, **labels: str) -> float:
        """Read a metric of the hub, as Prometheus does, but from inside the pod."""
        script = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9464/metrics').read().decode())"
        text = kubectl("exec", "deployment/hub", "--namespace", NAMESPACE, "--", "python", "-c", script)
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        for line in text.splitlines():
            if line.startswith(name) and all(one in line for one in wanted):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def restart_hub(self) -> None:
        """Replace the hub's pod, as an upgrade does."""
        kubectl("rollout", "restart", "deployment/hub", "--namespace", NAMESPACE)
        cluster.roll_out("hub")
        wait_until(self.is_up, "the hub answers")

    def kill_hub(self) -> None:
        """Kill the hub's process as nothing could prevent; its container then starts anew."""
        kill = "kill -9 $(cat /proc/1/task/1/children)"
        kubectl("exec", "deployment/hub", "--namespace", NAMESPACE, "--", "sh", "-c", kill)


def groups_policy() -> str:
    """Give the strictest policy of groups that the node knows; containerd does from 2.0 on."""
    features = cluster.get("nodes")[0]["status"].get("features", {})
    return "Strict" if features.get("supplementalGroupsPolicy") else "Merge"


def own_address() -> str:
    """Give the address by which the cluster's pods reach this machine."""
    node = cluster.get("nodes")[0]
    address = next(one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return str(probe.getsockname()[0])


def node_command(name: str, script: str) -> None:
    """Run a script as root on the node, where its storage is."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "restartPolicy": "Never",
            # Not by the scheduler, which may be busy coming to after a test.
            "nodeName": cluster.get("nodes")[0]["metadata"]["name"],
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "root",
                    "image": f"lsstsqre/jupyterlabdemo-hub:{version()}",
                    "command": ["/bin/sh", "-c", script],
                    "securityContext": {"runAsUser": 0},
                    "volumeMounts": [{"name": "storage", "mountPath": "/storage"}],
                }
            ],
            "volumes": [{"name": "storage", "hostPath": {"path": STORAGE, "type": "DirectoryOrCreate"}}],
        },
    }
    kubectl("delete", "pod", name, "--namespace", NAMESPACE, "--ignore-not-found")
    cluster.apply(pod)
    kubectl(
        "wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{name}", "--namespace", NAMESPACE, "--timeout=60s"
    )
    kubectl("delete", "pod", name, "--namespace", NAMESPACE)


def fileserver() -> str:
    """Give the fileserver's manifests for a node without NFS, over a folder that is not a real site's."""
    files = sorted((ROOT / "fileserver/alternatives/hostpath").glob("*.yaml"))
    manifests = "\n---\n".join(file.read_text() for file in files)
    assert SITE_STORAGE in manifests
    return manifests.replace(SITE_STORAGE, STORAGE)


def settings(github: FakeGitHub, authority: trustme.CA) -> list[dict[str, Any]]:
    """Give the ConfigMaps and the Secrets that a site would write."""

    def of(kind: str, name: str, data: dict[str, str]) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "data": data}

    told = {
        "GITHUB_CLIENT_ID": "labhub-test",
        "OAUTH_CALLBACK_URL": f"{URL}/hub/oauth_callback",
        "GITHUB_URL": github.url,
        "GITHUB_ORGANIZATION_WHITELIST": "lsst-sqre",
        "GITHUB_REFRESH_SECONDS": "60",
        "LAB_GROUPS_POLICY": groups_policy(),
        "LAB_MENU": "/etc/jupyterlabdemo/menu.toml",
        "SSL_CERT_FILE": "/etc/jupyterlabdemo/ca.crt",
        "GITHUB_ADMINS": str(ADMIN_ID),
    }
    secret = {
        "JUPYTERHUB_CRYPT_KEY": secrets.token_hex(32),
        "GITHUB_CLIENT_SECRET": "made-up-client-secret",
        "CONFIGPROXY_AUTH_TOKEN": secrets.token_hex(32),
        "FILESERVER_TOKEN": secrets.token_hex(32),
    }
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in secret.items()}
    return [
        of("ConfigMap", "hub", told),
        of("ConfigMap", "hub-files", {"menu.toml": MENU, "ca.crt": authority.cert_pem.bytes().decode()}),
        of("Secret", "hub", encoded),
        of("Secret", "fileserver", {"FILESERVER_TOKEN": encoded["FILESERVER_TOKEN"]}),
    ]


def node_port() -> dict[str, Any]:
    """Give the Service by which this machine reaches the proxy."""
    labels = {"app.kubernetes.io/name": "configurable-http-proxy", "app.kubernetes.io/component": "proxy"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "proxy-test", "namespace": NAMESPACE},
        "spec": {
            "type": "NodePort",
            "selector": labels,
            "ports": [{"port": 8000, "targetPort": "http", "nodePort": NODE_PORT}],
        },
    }


def administrator_token(deployment: Deployment) -> str:
    """Log the administrator in, and have them make a token."""
    visitor = deployment.visitor("chief")
    visitor.log_in()
    made = visitor.http.post("/hub/api/users/chief/tokens", headers=visitor.xsrf(), json={})
    assert made.status_code == 201, made.text
    return str(made.json()["token"])


def nobodys_pod(name: str, **labels: str) -> dict[str, Any]:
    """Give a pod beside the labs that the hub has not made."""
    image = "lsstsqre/jupyterlabdemo-hub:" + version()
    closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 4711, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {"name": "notebook", "image": image, "command": ["sleep", "infinity"], "securityContext": closed}
        ],
    }
    metadata = {"name": name, "namespace": LABS, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Give the authority that signs GitHub's certificate."""
    return trustme.CA()


@contextmanager
def run_github(authority: trustme.CA) -> Iterator[FakeGitHub]:
    """Run a GitHub that the cluster's pods and this machine reach by the same address, over https."""
    address = own_address()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(address).configure_cert(tls)
    with run_fake_github(f"{URL}/hub/oauth_callback", host=address, tls=tls) as server:
        for name in ("lsst-sqre", "rubin", "desc"):
            server.world.add_organization(name)
        yield server


@contextmanager
def deploy(github: FakeGitHub, authority: trustme.CA) -> Iterator[Deployment]:
    """Deploy the hub as its README says; everything goes at the end."""
    with cluster.own_namespaces():
        try:
            for name in ("00-namespace", "labs-namespace"):
                kubectl("apply", "--filename", MANIFESTS / f"{name}.yaml")
            cluster.apply(*settings(github, authority), node_port())
            kubectl("apply", "--filename", "-", stdin=fileserver())
            cluster.roll_out("fileserver")
            kubectl("apply", "--filename", MANIFESTS)
            cluster.roll_out("proxy")
            cluster.roll_out("hub")
            tls = ssl.create_default_context()
            authority.configure_trust(tls)
            found = Deployment(github, tls)
            cluster.resolve_username()
            wait_until(found.is_up, "hub and proxy answer")
            found.join(github.world.add_account("chief", ADMIN_ID), "lsst-sqre")
            found.token = administrator_token(found)
            yield found
        finally:
            node_command("hub-test-remove", "rm -rf /storage/*")


@pytest.fixture(scope="session")
def github(authority: trustme.CA) -> Iterator[FakeGitHub]:
    """Give a GitHub for this session."""
    cluster.need_cluster()
    with run_github(authority) as server:
        yield server


@pytest.fixture(scope="session")
def deployment(github: FakeGitHub, authority: trustme.CA) -> Iterator[Deployment]:
    """Give a deployed hub."""
    with deploy(github, authority) as found:
        cluster.apply(nobodys_pod(STRANGER), nobodys_pod(ORPHAN, **LIKE_A_LAB))
        yield found
        print(found.log())  # noqa: T201  (a failure explains itself)
