"""Tests of nginx on a real cluster. The tests deploy nginx as its README describes, in front of a fake proxy."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from labtesting.certificates import Authority
from labtesting.cluster import NAMESPACE, KubectlError, apply, get, kubectl, own_namespaces, wait_for_rollout
from labtesting.hub_process import wait_until

from tools.components import image_name, version

FOLDER = Path(__file__).parents[2] / "kubernetes"
PROXY = {"app.kubernetes.io/name": "test-proxy", "app.kubernetes.io/component": "proxy"}
OURS = "app.kubernetes.io/component=nginx"
# kubelet updates the files of a changed Secret within two minutes: it checks once a minute, and its cache can be one
# minute old.
SECRET_SECONDS = 180


@dataclass(frozen=True)
class Site:
    """An nginx that is deployed on the cluster.

    Attributes
    ----------
    authority
        The certificate authority that signs the certificates of nginx.
    folder
        The folder with nginx's current certificate and private key.
    address
        The address of a node. With kind, a node is a container with its own address.
    port
        The NodePort of nginx for HTTPS.
    """

    authority: Authority
    folder: Path
    address: str
    port: int

    @property
    def trust(self) -> ssl.SSLContext:
        """A TLS context for clients that trusts the certificates of nginx."""
        return ssl.create_default_context(cafile=self.authority.file)

    def get(self, path: str = "/hub/home") -> httpx.Response:
        """Send a request with the host name of the site over a new TLS connection, and return the answer."""
        url, name = f"https://{self.address}:{self.port}{path}", "localhost"
        with httpx.Client(verify=self.trust, timeout=10, headers={"Host": name}) as client:
            return client.get(url, extensions={"sni_hostname": name})

    def write_certificate(self) -> None:
        """Create a new certificate and key, and write both to the Secret `nginx-tls`."""
        self.authority.write(self.folder)
        files = [f"--{option}={self.folder / name}" for option, name in (("cert", "tls.crt"), ("key", "tls.key"))]
        secret = kubectl(
            "create", "secret", "tls", "nginx-tls", "-n", NAMESPACE, *files, "--dry-run=client", "-o", "yaml"
        )
        kubectl("apply", "-f", "-", stdin=secret)

    def serial(self) -> str:
        """Return the serial number of the certificate that a new connection receives."""
        with (
            socket.create_connection((self.address, self.port), timeout=180) as plain,
            self.trust.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            return str((connection.getpeercert() or {})["serialNumber"])


def node_address() -> str:
    """Return the internal IP address of the cluster's first node."""
    addresses = get("nodes")[0]["status"]["addresses"]
    return str(next(address["address"] for address in addresses if address["type"] == "InternalIP"))


def proxy_service() -> None:
    """Create the Service `proxy`, to which nginx connects. It selects the pods of the fake proxy."""
    ports = [{"name": "http", "port": 8000, "targetPort": "http"}]
    metadata = {"name": "proxy", "namespace": NAMESPACE}
    apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"selector": PROXY, "ports": ports}})


def proxy_deployment() -> None:
    """Create the Deployment of the fake proxy: a second nginx that answers all requests with the same text."""
    configuration = (
        "daemon off; pid /tmp/pid; events {} http { client_body_temp_path /tmp/1; proxy_temp_path /tmp/2; "
        "fastcgi_temp_path /tmp/3; uwsgi_temp_path /tmp/4; scgi_temp_path /tmp/5; access_log off; "
        "server { listen 8000; return 200 proxied; } }"
    )
    container = {
        "name": "proxy",
        "image": f"{image_name('nginx')}:{version()}",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", 'echo "$CONFIGURATION" > /tmp/nginx.conf && exec nginx -c /tmp/nginx.conf'],
        "env": [{"name": "CONFIGURATION", "value": configuration}],
        "ports": [{"name": "http", "containerPort": 8000}],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
    }
    template = {"metadata": {"labels": PROXY}, "spec": {"containers": [container]}}
    spec = {"selector": {"matchLabels": PROXY}, "template": template}
    metadata = {"name": "test-proxy", "namespace": NAMESPACE}
    apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Apply nginx's manifests, and start the fake proxy. The tests create the Secret and the ConfigMap of nginx."""
    folder = tmp_path_factory.mktemp("site")
    with own_namespaces():
        kubectl("apply", "-f", FOLDER)
        proxy_deployment()
        proxy_service()
        https = next(port for port in get("service", "nginx")["spec"]["ports"] if port["name"] == "https")
        yield Site(Authority(folder), folder, node_address(), https["nodePort"])


def test_missing_setting_is_logged(site: Site) -> None:
    site.write_certificate()

    def is_logged() -> bool:
        logs = ["logs", "--namespace", NAMESPACE, "--selector", OURS, "--tail=5"]
        pods = get("pod", selector=OURS)
        started = [pod for pod in pods if pod["status"].get("containerStatuses", [{}])[0].get("state")]
        try:
            return bool(started) and "NGINX_SERVER_NAME: found '', wanted" in kubectl(*logs)
        except KubectlError:  # the container has not started yet
            return False

    wait_until(is_logged, "the missing setting is logged", 120)


def test_two_pods_become_ready_and_answer(site: Site) -> None:
    kubectl("create", "configmap", "nginx", "-n", NAMESPACE, "--from-literal=NGINX_SERVER_NAME=localhost")
    kubectl("rollout", "restart", "deployment/nginx", "-n", NAMESPACE)
    wait_for_rollout("test-proxy")
    wait_for_rollout("nginx", 150)
    wait_until(lambda: get("deployment", "nginx")["status"].get("readyReplicas") == 2, "two pods are ready")
    answer = site.get()
    assert (answer.status_code, answer.text) == (200, "proxied")


def test_second_apply_changes_nothing(site: Site) -> None:
    def versions() -> dict[str, Any]:
        items = json.loads(kubectl("get", "-f", FOLDER, "-o", "json"))["items"]
        # Return only fields that `kubectl apply` can change. resourceVersion also changes when the status changes.
        return {
            item["kind"]: (item["metadata"].get("generation"), item["metadata"]["labels"], item["spec"])
            for item in items
        }

    before = versions()
    kubectl("apply", "-f", FOLDER)
    assert versions() == before


def test_pods_satisfy_the_restricted_level(site: Site) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    command = ["kubectl", "label", "namespace", NAMESPACE, label, "--overwrite", "--dry-run=server"]
    # When a namespace gets a Pod Security level, the API server warns of each existing pod that violates the level.
    warnings = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert "nginx-" not in warnings


def is_our_page(answer: httpx.Response) -> bool:
    """Check whether an answer is the error page that nginx sends when the proxy is unavailable."""
    return answer.status_code == 502 and "JupyterLab is unavailable" in answer.text


def test_new_address_of_the_proxy_service_is_used(site: Site) -> None:
    before = get("service", "proxy")["spec"]["clusterIP"]
    kubectl("delete", "service", "proxy", "-n", NAMESPACE)
    try:
        # A pod of nginx that still uses the deleted address of the proxy's Service answers 504 instead of 502.
        wait_until(lambda: is_our_page(site.get()), "nginx shows its own page")
    finally:
        proxy_service()
    assert get("service", "proxy")["spec"]["clusterIP"] != before
    wait_until(lambda: site.get().text == "proxied", "nginx uses the new address")


def test_error_page_is_shown_while_the_proxy_is_down(site: Site) -> None:
    kubectl("scale", "deployment/test-proxy", "--replicas=0", "-n", NAMESPACE)
    wait_until(lambda: site.get().status_code in {502, 504}, "the proxy is down")
    kubectl("scale", "deployment/test-proxy", "--replicas=1", "-n", NAMESPACE)
    wait_until(lambda: site.get().text == "proxied", "the proxy answers again")


def test_a_new_secret_is_served(site: Site) -> None:
    before = site.serial()
    site.write_certificate()
    # Eight new connections almost certainly reach both pods of nginx. So both pods must serve the new certificate.
    wait_until(lambda: before not in {site.serial() for _ in range(8)}, "the new certificate is served", SECRET_SECONDS)


def test_a_new_release_fails_no_request(site: Site) -> None:
    kubectl("rollout", "restart", "deployment/nginx", "-n", NAMESPACE)
    seen: set[int] = set()

    def rolled_out() -> bool:
        seen.add(site.get().status_code)
        deployment = get("deployment", "nginx")
        status, numbers = deployment["status"], ("replicas", "updatedReplicas", "readyReplicas")
        # Until Kubernetes has processed the restart (observedGeneration), the status describes the previous rollout.
        observed = status["observedGeneration"] == deployment["metadata"]["generation"]
        return observed and {status.get(number) for number in numbers} == {2}

    wait_until(rolled_out, "the new pods are ready", 120)
    assert seen == {200}
