"""Tests of filebeat's and the relay's manifests on a real cluster: log lines of labs arrive in RabbitMQ.

The tests also check that the relay refuses other clients. The DaemonSet runs the image that the environment variable
SHIPPER_IMAGE names, or else the test shipper. Mounts, configuration, Secret and service account are those of filebeat.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from labtesting import cluster
from labtesting.cluster import LABS, NAMESPACE, KubectlError, kubectl
from labtesting.logevents import assert_shipped_events
from labtesting.needs import skip_or_fail
from labtesting.rabbitmq import INSTALL_HINT, RabbitMQ, RabbitMQError

from filebeat.tests.shipper import MANIFESTS, ROOT
from logstashrmq.tests.cluster.test_cluster import address_for_pods, config
from logstashrmq.tests.harness import Certificates, Queue, wait_until
from tools.components import image_name, shipper_image, version

RELAY = ROOT / "logstashrmq" / "kubernetes"
PYTHON = ["/opt/relay/bin/python", "-c"]
ANOTHER = "logs-test-elsewhere"
USER = "system:serviceaccount:jupyterlabdemo:filebeat"
CONNECT = """
import socket
try:
    socket.create_connection(("logstashrmq.jupyterlabdemo", 5044), 3)
    print("connected")
except TimeoutError:
    print("timed out")
"""
# This program sends an empty window and reads the relay's acknowledgement. With TLS 1.3, a client without a certificate
# can complete the handshake. The relay's refusal only appears as an error when the client reads.
SEND_WINDOW = """
import socket, ssl
context = ssl.create_default_context(cafile="/test/ca.crt")
if {has_certificate}:
    context.load_cert_chain("/test/tls.crt", "/test/tls.key")
plain = socket.create_connection(("logstashrmq", 5044), 5)
try:
    with context.wrap_socket(plain, server_hostname="logstashrmq") as tls:
        tls.sendall(b"2W\\0\\0\\0\\0")
        print("accepted" if tls.recv(6) == b"2A\\0\\0\\0\\0" else "refused")
except (ssl.SSLError, ConnectionError):
    print("refused")
"""
PRINT_LINES = """
import json, time
line = {{"@timestamp": "2026-01-01T00:00:00Z", "message": "{mark}", "log.level": "info", "log.logger": "lsstlab"}}
line |= {{"service.name": "lab", "event.dataset": "lab.session", "event.action": "session_start", "user.id": "1"}}
while True:
    print("printed by a user", flush=True)
    print(json.dumps(line | {{"lab.written": time.time()}}), flush=True)
    time.sleep(1)
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Return a certificate authority, with one certificate for a server and one for a client."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """Start RabbitMQ on an address that pods of the cluster can reach, and yield a queue."""
    cluster.need_cluster()
    try:
        broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"), host=address_for_pods())
    except RabbitMQError:
        skip_or_fail("RabbitMQ", INSTALL_HINT)
    with broker:
        yield Queue(broker)


def daemonset() -> dict[str, Any]:
    """Return filebeat's DaemonSet from its manifest. The image is the shipper that the tests use."""
    manifest: dict[str, Any] = yaml.safe_load((MANIFESTS / "daemonset.yaml").read_text())
    [container] = manifest["spec"]["template"]["spec"]["containers"]
    container["image"] = shipper_image()
    return manifest


def tls_secret(name: str, pair: tuple[Path, Path], ca: Path) -> dict[str, Any]:
    """Return a Secret for TLS.

    Parameters
    ----------
    name
        Name of the Secret.
    pair
        Files of a certificate and of its private key.
    ca
        File with the certificate of the authority that the pod trusts.
    """
    files = {"tls.crt": pair[0], "tls.key": pair[1], "ca.crt": ca}
    return config("Secret", name, **{key: file.read_text() for key, file in files.items()})


@pytest.fixture(scope="module", autouse=True)
def deployment(queue: Queue, certificates: Certificates) -> Iterator[None]:
    """Deploy filebeat and the relay with their manifests and with settings for the tests. Delete both at the end."""
    broker = queue.broker
    settings = {
        "AMQP_HOST": broker.host,
        "AMQP_PORT": str(broker.port),
        "AMQP_TLS": "false",
        "AMQP_USER": broker.user,
        "AMQP_EXCHANGE": queue.exchange,
    }
    with cluster.own_namespaces(NAMESPACE, LABS, ANOTHER):
        kubectl("apply", "--filename", RELAY)
        cluster.apply(
            config("ConfigMap", "logstashrmq", **settings),
            config("Secret", "logstashrmq", AMQP_PASSWORD=broker.password),
            tls_secret("logstashrmq-tls", certificates.server, certificates.ca),
            tls_secret("filebeat-tls", certificates.client, certificates.ca),
        )
        cluster.wait_for_rollout("logstashrmq")
        try:
            kubectl("apply", "--filename", MANIFESTS)
            cluster.apply(daemonset())
            kubectl("rollout", "status", "daemonset/filebeat", "--namespace", NAMESPACE, "--timeout=90s")
            yield
        finally:
            print(read_filebeat_log())  # noqa: T201  (pytest shows it if a test fails)


def read_filebeat_log() -> str:
    """Return the last lines of filebeat's log, or the error message of kubectl."""
    try:
        return kubectl("logs", "daemonset/filebeat", "--namespace", NAMESPACE, "--tail=30")
    except KubectlError as error:
        return str(error)


@pytest.fixture
def run_pod() -> Iterator[Callable[..., str]]:
    """Yield a function that runs a Python program in a pod and returns the pod's name. Delete the pods at the end."""
    started: list[tuple[str, str]] = []

    def start(program: str, namespace: str = NAMESPACE, secret: str = "", **labels: str) -> str:
        name = f"logs-test-{uuid.uuid4().hex[:6]}"
        container: dict[str, Any] = {
            "name": "notebook",
            "image": f"{image_name('logstashrmq')}:{version()}",
            "imagePullPolicy": "IfNotPresent",
            "command": [*PYTHON, program],
            "env": [{"name": "PYTHONPATH", "value": "/opt/relay/src"}],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        spec: dict[str, Any] = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
        }
        if secret:
            container["volumeMounts"] = [{"name": "test", "mountPath": "/test"}]
            spec["volumes"] = [{"name": "test", "secret": {"secretName": secret}}]
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        started.append((name, namespace))
        return name

    yield start
    for name, namespace in started:
        kubectl("delete", "pod", name, "--namespace", namespace, "--wait=false", "--ignore-not-found")


def read_output(name: str, namespace: str) -> str:
    """Wait until a pod's program ends, and return the output of the program."""

    def ended() -> bool:
        phase = cluster.get("pod", name, namespace=namespace)["status"].get("phase")
        return phase in {"Succeeded", "Failed"}

    wait_until(ended, f"{name} ends")
    return kubectl("logs", name, "--namespace", namespace).strip()


@pytest.mark.parametrize("part", ["config", "output"])
def test_filebeat_test_command_passes(part: str) -> None:
    command = ["filebeat", "test", part, "-c", "/etc/filebeat/filebeat.yml"]
    assert "OK" in kubectl("exec", "daemonset/filebeat", "--namespace", NAMESPACE, "--", *command)


def test_session_event_of_a_lab_arrives_without_its_output(queue: Queue, run_pod: Callable[..., str]) -> None:
    mark = f"mark-{uuid.uuid4().hex}"
    prefix = "jupyterlabdemo.lsst.io/"
    lab = {"github-id": "5150", "user": "ada-amber", "image": "science", "size": "small"}
    labels = {"app.kubernetes.io/component": "lab", **{prefix + name: value for name, value in lab.items()}}
    name = run_pod(PRINT_LINES.format(mark=mark), LABS, **labels)
    received: list[tuple[float, bytes]] = []

    def find_line() -> tuple[float, bytes] | None:
        # The program of the pod repeats its line. filebeat can add the user only after it has found the pod in the API,
        # so the first lines can arrive without a user.
        return next(((at, body) for at, body in received if mark.encode() in body and b"ada-amber" in body), None)

    def arrived() -> bool:
        received.extend((time.time(), body) for _, _, body in queue.read())
        return find_line() is not None

    wait_until(arrived, "the line is in RabbitMQ with its user")
    line = find_line()
    assert line
    at, body = line
    [event] = assert_shipped_events([body])
    took = at - event["lab.written"]
    assert took < 5, f"the line arrived after {took:.1f} s, wanted less than 5 s"
    wanted = {"user.id": "5150", "user.name": "ada-amber", "labels.image": "science", "labels.size": "small"}
    node = cluster.get("pod", name, namespace=LABS)["spec"]["nodeName"]
    assert event == event | wanted | {"kubernetes.pod.name": name, "kubernetes.namespace": LABS, "agent.name": node}
    assert not any(b"printed by a user" in body for _, body in received)
    print(f"the line arrived after {took:.2f} s")  # noqa: T201


def test_log_lines_of_the_relay_arrive(queue: Queue) -> None:
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        bodies = [body for _, _, body in queue.read() if b"beatsrelay" in body]
        found.extend(event for event in assert_shipped_events(bodies) if event.get("service.name") == "logstashrmq")
        return bool(found)

    kubectl("rollout", "restart", "deployment/logstashrmq", "--namespace", NAMESPACE)
    cluster.wait_for_rollout("logstashrmq")
    wait_until(arrived, "lines of the relay arrive", 30)
    assert {event["kubernetes.container.name"] for event in found} == {"relay"}
    assert {event["log.level"] for event in found} <= {"info", "warning", "error"}


@pytest.mark.parametrize("namespace", [LABS, ANOTHER, NAMESPACE])
def test_other_pods_cannot_reach_the_relay(namespace: str, run_pod: Callable[..., str]) -> None:
    # Only a pod with filebeat's label in the relay's own namespace may connect. So the NetworkPolicy must block a pod
    # with filebeat's label in another namespace, and a pod with a lab's label in the relay's namespace.
    component = "lab" if namespace == NAMESPACE else "filebeat"
    name = run_pod(CONNECT, namespace, **{"app.kubernetes.io/component": component})
    assert read_output(name, namespace) == "timed out"


@pytest.mark.parametrize(("has_certificate", "result"), [(True, "accepted"), (False, "refused")])
def test_client_without_a_certificate_is_refused(
    has_certificate: bool, result: str, run_pod: Callable[..., str]
) -> None:
    program = SEND_WINDOW.format(has_certificate=has_certificate)
    name = run_pod(program, secret="filebeat-tls", **{"app.kubernetes.io/component": "filebeat"})
    assert read_output(name, NAMESPACE) == result


def test_pod_has_only_the_expected_mounts() -> None:
    [pod] = cluster.get("pods", selector="app.kubernetes.io/component=filebeat")
    [container] = pod["spec"]["containers"]
    token = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert {(mount["mountPath"], mount.get("readOnly", False)) for mount in container["volumeMounts"]} == {
        ("/etc/filebeat", True),
        ("/run/secrets/filebeat-tls", True),
        ("/var/log/pods", True),
        ("/usr/share/filebeat/data", False),
        (token, True),
    }
    paths = {volume["hostPath"]["path"] for volume in pod["spec"]["volumes"] if "hostPath" in volume}
    assert paths == {"/var/log/pods", "/var/lib/jupyterlabdemo-filebeat"}
    assert container["image"] == shipper_image()
    assert pod["spec"]["tolerations"][0] == {"operator": "Exists"}


@pytest.mark.parametrize(
    ("verb", "resource", "allowed"),
    [
        ("list", "pods", True),
        ("watch", "pods", True),
        ("delete", "pods", False),
        ("create", "pods/exec", False),
        ("get", "pods/log", False),
        ("list", "secrets", False),
        ("get", "configmaps", False),
        ("list", "nodes", False),
        ("list", "namespaces", False),
    ],
)
def test_service_account_can_only_read_pods(verb: str, resource: str, allowed: bool) -> None:
    name, _, subresource = resource.partition("/")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": USER, "resourceAttributes": {"verb": verb, "resource": name, "subresource": subresource}},
    }
    answer = json.loads(kubectl("create", "--filename", "-", "--output", "json", stdin=json.dumps(review)))
    assert answer["status"]["allowed"] is allowed


def test_restart_sends_no_line_twice(queue: Queue, run_pod: Callable[..., str]) -> None:
    seen: list[tuple[str, int]] = []
    mark = f"mark-{uuid.uuid4().hex}"

    def is_shipped() -> bool:
        bodies = [body for _, _, body in queue.read()]
        logs = [json.loads(body)["log"] for body in bodies]
        seen.extend((origin["file"]["path"], origin["offset"]) for origin in logs)
        return any(mark.encode() in body for body in bodies)

    run_pod(f"print('{mark}')", ANOTHER)
    wait_until(is_shipped, "filebeat ships the line")
    kubectl("rollout", "restart", "daemonset/filebeat", "--namespace", NAMESPACE)
    kubectl("rollout", "status", "daemonset/filebeat", "--namespace", NAMESPACE, "--timeout=90s")
    mark = f"mark-{uuid.uuid4().hex}"
    run_pod(f"print('{mark}')", ANOTHER)
    wait_until(is_shipped, "filebeat ships a line after the restart")
    assert len(seen) == len(set(seen))
