"""Tests of the manifests on a real cluster: which pods may connect to the relay, and a rolling update under load."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from labtesting import beats, cluster
from labtesting.cluster import NAMESPACE, kubectl
from labtesting.needs import skip_or_fail
from labtesting.rabbitmq import INSTALL_HINT, RabbitMQ, RabbitMQError

from logstashrmq.tests.harness import Certificates, Queue, wait_until
from tools.components import image_name, version

MANIFESTS = Path(__file__).parents[2] / "kubernetes"
NAME = "logstashrmq"
EVENTS = 20_000
SHIP = f"""
import ssl
from beats import Shipper, make_events
context = ssl.create_default_context(cafile="/test/ca.pem")
context.load_cert_chain("/test/client.pem", "/test/client.key")
shipper = Shipper(5044, make_events({EVENTS}, "a"), window=100, pause=0.1, tls=context, host="{NAME}")
shipper.run()
print(shipper.acknowledged, shipper.reconnects, shipper.errors)
"""
CONNECT = f"""
import socket
try:
    socket.create_connection(("{NAME}", 5044), 3)
    print("connected")
except TimeoutError:
    print("timed out")
"""


def address_for_pods() -> str:
    """Return an address of this machine that pods of the cluster can reach."""
    nodes = json.loads(kubectl("get", "nodes", "--output", "json"))["items"]
    inside = next(item["address"] for item in nodes[0]["status"]["addresses"] if item["type"] == "InternalIP")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((inside, 9))
        return str(probe.getsockname()[0])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Create a certificate authority, and certificates for a server and a client of the relay."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """Start RabbitMQ where pods can reach it, and yield a queue."""
    cluster.need_cluster()
    try:
        broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"), host=address_for_pods())
    except RabbitMQError:
        skip_or_fail("RabbitMQ", INSTALL_HINT)
    with broker:
        yield Queue(broker)


def config(kind: str, name: str, **data: str) -> dict[str, Any]:
    """Return the manifest of a ConfigMap or a Secret with this name and data."""
    field = "stringData" if kind == "Secret" else "data"
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, field: data}


@pytest.fixture(scope="module", autouse=True)
def deployment(queue: Queue, certificates: Certificates) -> Iterator[None]:
    """Apply the manifests, with settings for the test."""
    broker = queue.broker
    tls = {"tls.crt": certificates.server[0], "tls.key": certificates.server[1], "ca.crt": certificates.ca}
    settings = {
        "AMQP_HOST": broker.host,
        "AMQP_PORT": str(broker.port),
        "AMQP_TLS": "false",
        "AMQP_USER": broker.user,
        "AMQP_EXCHANGE": queue.exchange,
    }
    files = {file.name: file.read_text() for file in (certificates.ca, *certificates.client, Path(beats.__file__))}
    with cluster.own_namespaces():
        kubectl("apply", "--filename", MANIFESTS)
        cluster.apply(
            config("ConfigMap", NAME, **settings),
            config("Secret", NAME, AMQP_PASSWORD=broker.password),
            config("Secret", f"{NAME}-tls", **{name: file.read_text() for name, file in tls.items()}),
            config("Secret", f"{NAME}-test", **files),
        )
        cluster.wait_for_rollout(NAME)
        yield


def start_pod(name: str, component: str, program: str) -> None:
    """Start a pod with the labels of a component. It runs a Python program with a client certificate."""
    container = {
        "name": "test",
        "image": f"{image_name(NAME)}:{version()}",
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/relay/bin/python", "-c", program],
        "env": [{"name": "PYTHONPATH", "value": "/opt/relay/src:/test"}],
        "volumeMounts": [{"name": "test", "mountPath": "/test"}],
    }
    labels = {"app.kubernetes.io/component": component}
    cluster.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
            "spec": {
                "restartPolicy": "Never",
                "containers": [container],
                "volumes": [{"name": "test", "secret": {"secretName": f"{NAME}-test"}}],
            },
        }
    )


def read_output(name: str) -> str:
    """Wait until the program in a pod ends, return the program's output, and delete the pod."""
    try:
        wait_until(
            lambda: cluster.get("pod", name)["status"].get("phase") in {"Succeeded", "Failed"}, f"{name} ends", 120
        )
        return kubectl("logs", name, "--namespace", NAMESPACE).strip()
    finally:
        kubectl("delete", "pod", name, "--namespace", NAMESPACE, "--wait=false")


def test_applying_the_manifests_again_changes_nothing() -> None:
    generation = cluster.get("poddisruptionbudget", NAME)["metadata"]["generation"]
    output = kubectl("apply", "--filename", MANIFESTS).splitlines()
    assert len(output) == len(list(MANIFESTS.glob("*.yaml")))
    # `kubectl apply` always replaces the selector of a PodDisruptionBudget, so it reports `configured` for an unchanged
    # budget.
    assert [line.partition("/")[0] for line in output if not line.endswith(" unchanged")] == [
        "poddisruptionbudget.policy"
    ]
    assert cluster.get("poddisruptionbudget", NAME)["metadata"]["generation"] == generation


def test_two_replicas_are_not_evicted_together() -> None:
    pods = cluster.get("pods", selector=f"app.kubernetes.io/component={NAME}")
    assert len(pods) == 2
    assert cluster.get("poddisruptionbudget", NAME)["status"]["disruptionsAllowed"] == 1


@pytest.mark.parametrize(("component", "result"), [("filebeat", "connected"), ("lab", "timed out")])
def test_only_filebeat_may_connect(component: str, result: str) -> None:
    name = f"{NAME}-test-{component}"
    start_pod(name, component, CONNECT)
    assert read_output(name) == result


def test_check_passes_in_the_cluster(queue: Queue) -> None:
    command = ["/opt/relay/bin/python", "-m", "beatsrelay", "--check", "--route", f"/{queue.name}"]
    output = kubectl("exec", f"deployment/{NAME}", "--namespace", NAMESPACE, "--", *command)
    assert output.count("ok      ") == 4
    queue.read()


def test_rolling_update_without_loss_or_duplicate(queue: Queue) -> None:
    start_pod(f"{NAME}-test-ship", "filebeat", SHIP)
    wait_until(lambda: queue.count() > EVENTS / 20, "events are shipped", 60)
    kubectl("rollout", "restart", f"deployment/{NAME}", "--namespace", NAMESPACE)
    started = time.monotonic()
    cluster.wait_for_rollout(NAME)
    assert queue.count() < EVENTS, (
        f"all events were shipped before the update ended, after {time.monotonic() - started:.0f} s"
    )
    acknowledged, reconnects, errors = read_output(f"{NAME}-test-ship").split(maxsplit=2)
    assert (int(acknowledged), errors) == (EVENTS, "[]")
    assert int(reconnects) > 0, "the client moved to another replica"
    assert queue.collect() == {f"a-{i}": 1 for i in range(EVENTS)}
