"""The whole system on a cluster.

As in docs/admin/deploy.md, `configure` runs first, and then each component is applied.

The deployment differs from that of a site, for these reasons:

- The cluster has no load balancer, so the Service `nginx` gets the address of the node.
- The node may lack the NFS client, and the cluster may lack the CSI driver. So labs mount the fileserver's folders as
  hostPath volumes instead of NFS volumes. `labtesting.nfs` reads the labs' files through the fileserver's Service.
- Some machines cannot pull Elastic's image of filebeat. So the DaemonSet runs the image that the variable
  `SHIPPER_IMAGE` names, or our test shipper.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from labtesting import cluster
from labtesting.certificates import Authority, fingerprint
from labtesting.cluster import NAMESPACE, KubectlError, get, kubectl
from labtesting.github import Account, FakeGitHub, run_fake_github
from labtesting.hub_process import wait_until
from labtesting.labclient import LabClient
from labtesting.logevents import assert_shipped_events
from labtesting.needs import skip_or_fail
from labtesting.rabbitmq import INSTALL_HINT, RabbitMQ, RabbitMQError, Tls
from labtesting.visitor import Visitor
from playwright.sync_api import Page

from tools.components import shipper_image

ROOT = Path(__file__).parents[2]
HOST = "lab.example.org"
URL = f"https://{HOST}"
ORGANIZATION = "lsst-sqre"
QUEUE = "logs"
COMPONENTS = ("fileserver", "hub", "nginx", "logstashrmq", "filebeat")
DEPLOYMENTS = ("fileserver", "hub", "proxy", "nginx", "logstashrmq")
SITE = """
hostname = "{host}"

[github]
client_id = "labhub-test"
client_secret = {{ file = "github-client-secret" }}
organizations = ["{organization}"]
url = "{github}"
authority = "ca.crt"

[labs]
groups_policy = "{groups_policy}"

[[labs.images]]
key = "recommended"
title = "Recommended"
image = "lsstsqre/jupyterlabdemo:{{version}}"

# Several labs fit on a node with two CPUs, and the menu has more than one size.
[[labs.sizes]]
key = "small"
title = "Small"
cpu = "1"
memory = "1Gi"
cpu_request = "20m"
memory_request = "128Mi"

[[labs.sizes]]
key = "large"
title = "Large"
cpu = "2"
memory = "4Gi"

[nginx]
certificate = "nginx/tls.crt"
key = {{ file = "nginx/tls.key" }}

[logs.amqp]
host = ["{broker.host}"]
port = {broker.tls_port}
authority = "ca.crt"
user = "{broker.user}"
password = {{ file = "amqp-password" }}
exchange = "logs"
declare = true
queue = "{queue}"
"""


@dataclass
class Deployment:
    """A running system with its external services, and with the users that the tests create.

    Attributes
    ----------
    folder
        Folder with site.toml and the output of `configure`.
    address
        Address of the node, to which `HOST` resolves. If the node is a container (kind), it differs from this machine's
        address.
    trusted
        Fingerprints of the certificates of nginx and of the simulated GitHub, for Chromium.
    events
        All events that `read_events` has read so far.
    """

    folder: Path
    address: str
    authority: Authority
    github: FakeGitHub
    broker: RabbitMQ
    trusted: str
    visitors: list[Visitor] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def trust(self) -> ssl.SSLContext:
        """A TLS context that trusts the certificates of nginx and of the simulated GitHub."""
        return ssl.create_default_context(cafile=self.authority.file)

    def member(self, login: str) -> Account:
        """Create an account at the simulated GitHub, and add it to the organization whose members may log in."""
        world = self.github.world
        account: Account = world.add_account(login)
        organization = world.find_organization(ORGANIZATION)
        assert organization is not None
        organization.members[account.id] = "active"
        return account

    def visit(self, login: str) -> Visitor:
        """Log in a user without a browser, and return the user's session."""
        visitor = Visitor(URL, login, self.trust)
        self.visitors.append(visitor)
        page = visitor.log_in()
        assert page.status_code == 200, page.text
        return visitor

    def read_events(self) -> list[dict[str, Any]]:
        """Remove the events from the queue. Return all events that this method has read so far."""
        settings = {
            "AMQP_HOST": self.broker.host,
            "AMQP_PORT": str(self.broker.tls_port),
            "AMQP_USER": self.broker.user,
            "AMQP_PASSWORD": self.broker.password,
            "AMQP_TLS_CA_FILE": str(self.authority.file),
        }
        command = [sys.executable, "-m", "tools.read_logs", QUEUE, "--json", "--once"]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False)
        print(done.stderr)  # noqa: T201  (a broker that has just started may lack the queue)
        # Skip events without a service: configurable-http-proxy and Ganesha do not use our log format.
        ours = (line.encode() for line in done.stdout.splitlines() if json.loads(line).get("service"))
        self.events += assert_shipped_events(ours)
        return self.events

    def client(self, visitor: Visitor) -> LabClient:
        """Return a client of a user's lab that uses the session of the user."""
        lab = LabClient(URL, visitor.login, self.trust)
        lab.http.close()
        lab.http = visitor.http
        return lab


def log_in(page: Page, login: str) -> None:
    """Log in with a browser: open the site, click the button, and choose the account at the simulated GitHub."""
    page.goto(URL)
    page.get_by_role("button", name="Sign in with GitHub").click()
    page.locator(f'button[name="login"][value="{login}"]').click()


def node_address() -> str:
    """Return the internal IP address of the cluster's first node."""
    addresses = get("nodes")[0]["status"]["addresses"]
    return str(next(address["address"] for address in addresses if address["type"] == "InternalIP"))


def own_address(node: str) -> str:
    """Return an IP address of this machine that pods can reach."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((node, 9))
        return str(probe.getsockname()[0])


def groups_policy() -> str:
    """Return the strictest supplementalGroupsPolicy that the node supports."""
    features = get("nodes")[0]["status"].get("features", {})
    return "Strict" if features.get("supplementalGroupsPolicy") else "Merge"


def configure(folder: Path) -> str:
    """Run `labadmin configure` for the site.toml in a folder, and return the output of the command."""
    paths = (str(folder / "site.toml"), "--output", str(folder / "site"))
    command = [sys.executable, "-m", "labadmin", "configure", *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def external_services(folder: Path) -> Iterator[Deployment]:
    """Start the external services of a site, a simulated GitHub and RabbitMQ, and write site.toml."""
    node = node_address()
    address = own_address(node)
    authority = Authority(folder)
    hosts = {"github": address, "broker": address, "nginx": HOST}
    certificates = {name: authority.write(folder / name, host) for name, host in hosts.items()}
    trusted = ",".join(fingerprint(certificates[name]) for name in ("github", "nginx"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "github/tls.crt", folder / "github/tls.key")
    certificate = Tls(folder / "broker/tls.crt", folder / "broker/tls.key", authority.file)
    try:
        broker = RabbitMQ(folder / "rabbitmq", certificate, address)
    except RabbitMQError:
        skip_or_fail("RabbitMQ", INSTALL_HINT)
    with run_fake_github(f"{URL}/hub/oauth_callback", host=address, tls=tls) as github, broker:
        github.world.add_organization(ORGANIZATION)
        settings = SITE.format(
            host=HOST,
            organization=ORGANIZATION,
            github=github.url,
            groups_policy=groups_policy(),
            broker=broker,
            queue=QUEUE,
        )
        (folder / "site.toml").write_text(settings)
        (folder / "github-client-secret").write_text("made-up-client-secret\n")
        (folder / "amqp-password").write_text(broker.password)
        yield Deployment(folder, node, authority, github, broker, trusted)


def apply_fileserver() -> None:
    """Apply the fileserver, with hostPath volumes in place of NFS volumes."""
    folder = ROOT / "fileserver/kubernetes"
    files = [file for file in sorted(folder.glob("*.yaml")) if not file.name.endswith("-persistentvolume.yaml")]
    kubectl("apply", *(f"--filename={file}" for file in files))
    wait_until(lambda: get("pvc", "fileserver")["status"]["phase"] == "Bound", "the claim of the fileserver is bound")
    disk = get("pv", get("pvc", "fileserver")["spec"]["volumeName"])["spec"]["hostPath"]["path"]
    for file in sorted(folder.glob("*-persistentvolume.yaml")):
        volume: dict[str, Any] = yaml.safe_load(file.read_text())
        share = volume["spec"].pop("csi")["volumeAttributes"]["share"]
        del volume["spec"]["mountOptions"]
        volume["spec"]["hostPath"] = {"path": disk + share}
        cluster.apply(volume)


def filebeat_daemonset() -> dict[str, Any]:
    """Return the manifest of filebeat's DaemonSet, with the image for tests."""
    daemonset: dict[str, Any] = yaml.safe_load((ROOT / "filebeat/kubernetes/daemonset.yaml").read_text())
    [container] = daemonset["spec"]["template"]["spec"]["containers"]
    container["image"] = shipper_image()
    return daemonset


@contextmanager
def deploy(site: Deployment) -> Iterator[None]:
    """Deploy the settings and all components of a site, and delete them at the end of the block."""
    with cluster.own_namespaces():
        configure(site.folder)
        apply_site(site)
        yield


def apply_site(site: Deployment) -> None:
    """Apply the settings and all components, and wait until the site answers."""
    kubectl("apply", "--filename", site.folder / "site")
    apply_fileserver()
    for name in COMPONENTS:
        if name != "fileserver":
            kubectl("apply", "--filename", ROOT / name / "kubernetes")
    cluster.apply(filebeat_daemonset())
    wait_for_site(site, DEPLOYMENTS)
    kubectl("rollout", "status", "daemonset/filebeat", "--namespace", NAMESPACE, "--timeout=90s")


def wait_for_site(site: Deployment, deployments: Iterable[str]) -> None:
    """Assign the address of the node to nginx, and wait until the site answers."""
    kubectl(
        *("patch", "service", "nginx", "--namespace", NAMESPACE, "--patch"),
        f'{{"spec": {{"externalIPs": ["{site.address}"]}}}}',
    )
    for name in deployments:
        cluster.wait_for_rollout(name, 120)
    cluster.wait_for_kube_proxy()
    wait_until(
        lambda: httpx.get(f"{URL}/hub/health", verify=site.trust).status_code == 200,
        "nginx reaches the hub",
    )


@contextmanager
def resolve_host(address: str) -> Iterator[None]:
    """Resolve `HOST` to an address in this process until the end of the block, because no DNS server knows it."""
    original = socket.getaddrinfo

    def resolve(host: Any, *more: Any, **named: Any) -> Any:
        return original(address if host in {HOST, HOST.encode()} else host, *more, **named)

    socket.getaddrinfo = resolve
    try:
        yield
    finally:
        socket.getaddrinfo = original


def pod_logs(deployment: str) -> str:
    """Return the logs of the pods of a Deployment, or the error of kubectl."""
    try:
        return kubectl("logs", f"deployment/{deployment}", "--namespace", NAMESPACE, "--tail=-1", "--all-containers")
    except KubectlError as error:
        return str(error)
