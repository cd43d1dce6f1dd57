"""Tests that labs survive restarts of the hub, outages of the Kubernetes API and the loss of the database."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from labtesting import cluster
from labtesting.cluster import LABS, NAMESPACE, get, kubectl
from labtesting.hub_process import wait_until

from hub.tests.cluster.deployment import Deployment, administrator_token
from hub.tests.cluster.objects import LAB_LABELS, ORPHAN, STRANGER, foreign_pod
from hub.tests.cluster.pods import pod_uid

WHO_AM_I = """
import os, urllib.request
headers = {"Authorization": "token " + os.environ["JUPYTERHUB_API_TOKEN"]}
request = urllib.request.Request(os.environ["JUPYTERHUB_API_URL"] + "/user", headers=headers)
print(urllib.request.urlopen(request).read().decode())
"""
LAB = "app.kubernetes.io/component=lab"
LATE_ORPHAN = "lab-4712"


def labs() -> dict[str, str]:
    """Return the UIDs of all labs' pods by name, without pods that are being deleted."""
    pods = [pod["metadata"] for pod in get("pods", namespace=LABS, selector=LAB)]
    return {pod["name"]: pod["uid"] for pod in pods if "deletionTimestamp" not in pod}


def claimed(deployment: Deployment) -> set[str]:
    """Return the names of the pods of all labs in the hub's database."""
    users = deployment.api("GET", "/users", params={"state": "active", "limit": 200}).json()
    return {server["state"]["pod_name"] for user in users for server in user["servers"].values()}


def wait_reconciled() -> None:
    """Create an orphaned pod, and wait until the hub has deleted this pod, and so also all older orphaned pods."""
    cluster.apply(foreign_pod(LATE_ORPHAN, **LAB_LABELS))
    wait_until(lambda: not cluster.exists("pod", LATE_ORPHAN, namespace=LABS), "the late orphan is deleted", 180)


@contextmanager
def api_out_of_reach() -> Iterator[None]:
    """Block the hub's connections to all addresses except pods, and so to the Kubernetes API."""
    to: list[dict[str, Any]] = [{"namespaceSelector": {}, "podSelector": {}}]
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "no-api", "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/component": "hub"}},
            "policyTypes": ["Egress"],
            "egress": [{"to": to}],
        },
    }
    cluster.apply(policy)
    try:
        yield
    finally:
        kubectl("delete", "networkpolicy", "no-api", "--namespace", NAMESPACE)


def test_only_orphaned_pods_of_this_hub_are_removed(deployment: Deployment) -> None:
    visitor, account = deployment.member("mira")
    visitor.spawn("mira", image="recommended", size="small")
    uid = pod_uid(deployment.lab(account))
    # The fixture `deployment` has created both pods, ORPHAN and STRANGER.
    wait_until(lambda: not cluster.exists("pod", ORPHAN, namespace=LABS), "the orphan is deleted", 180)
    assert cluster.exists("pod", STRANGER, namespace=LABS)
    assert pod_uid(deployment.lab(account)) == uid


def test_foreign_pod_with_the_name_of_a_lab_is_deleted(deployment: Deployment) -> None:
    visitor, account = deployment.member("ned")
    cluster.apply(foreign_pod(deployment.lab(account)))
    uid = pod_uid(deployment.lab(account))
    visitor.spawn("ned", image="recommended", size="small")
    assert pod_uid(deployment.lab(account)) != uid
    assert f"the pod {LABS}/{deployment.lab(account)} already exists and is deleted first" in deployment.log()


def test_hub_restart_drops_no_websocket(deployment: Deployment) -> None:
    visitor, account = deployment.member("nia")
    visitor.spawn("nia", image="recommended", size="small")
    uid, lab = pod_uid(deployment.lab(account)), deployment.client(visitor, "nia")
    with lab.kernel("python3") as kernel:
        kernel.execute("x = 41")
        deployment.restart_hub()
        assert kernel.execute("print(x + 1)").stdout == "42\n"
    assert pod_uid(deployment.lab(account)) == uid
    wait_until(lambda: deployment.server("nia").get("ready"), "the lab is ready after the restart")
    assert visitor.reaches_lab("nia")


def test_killed_hub_finds_ten_starting_labs(deployment: Deployment) -> None:
    users = {f"olaf{number}": deployment.member(f"olaf{number}") for number in range(10)}
    threads = [
        threading.Thread(target=visitor.submit_spawn_form, kwargs={"image": "recommended", "size": "small"})
        for visitor, _ in users.values()
    ]
    for thread in threads:
        thread.start()
    names = {deployment.lab(account) for _, account in users.values()}
    wait_until(lambda: len(names & set(labs())) >= 5, "five pods exist")
    deployment.kill_hub()
    created = {name: uid for name, uid in labs().items() if name in names}
    for thread in threads:
        thread.join()
    wait_until(deployment.is_up, "the hub answers again", 120)
    started = {user for user, (_, account) in users.items() if deployment.lab(account) in created}
    for user in started:
        wait_until(lambda user=user: deployment.server(user).get("ready"), f"the lab of {user} is ready", 120)  # type: ignore[misc]
        wait_until(lambda user=user: users[user][0].reaches_lab(user), f"the lab of {user} answers", 60)  # type: ignore[misc]
    # For the other users, the hub was killed before it had created a pod. These users start their labs again.
    for user in set(users) - started:
        users[user][0].spawn(user, image="recommended", size="small")
    wait_reconciled()
    running = labs()
    assert running.items() >= created.items()
    assert set(running) >= names
    assert set(running) == claimed(deployment)


def test_hub_start_without_the_api_keeps_every_lab(deployment: Deployment) -> None:
    visitor, account = deployment.member("pia")
    visitor.spawn("pia", image="recommended", size="small")
    uid, lab = pod_uid(deployment.lab(account)), deployment.client(visitor, "pia")
    with lab.kernel("python3") as kernel:
        kernel.execute("x = 41")
        with api_out_of_reach():
            deployment.kill_hub()
            warning = "the watch of pods was lost and is restarted"
            wait_until(lambda: warning in deployment.log(), "the hub logs the outage")
            wait_until(deployment.is_up, "the hub's pages answer during the outage")
            assert kernel.execute("print(x + 1)").stdout == "42\n"
            assert visitor.reaches_lab("pia")
        wait_until(lambda: deployment.server("pia").get("ready"), "the lab is ready after the outage")
    assert pod_uid(deployment.lab(account)) == uid
    assert visitor.reaches_lab("pia")


def test_reset_ends_a_stuck_start(deployment: Deployment) -> None:
    visitor, account = deployment.member("sven")
    visitor.submit_spawn_form(image="recommended", size="impossible")
    assert deployment.server("sven")["pending"] == "spawn"
    refused = visitor.http.post("/hub/api/users/sven/reset", headers=visitor.xsrf())
    assert refused.status_code == 403
    reset = deployment.api("POST", "/users/sven/reset")
    assert reset.json() == {"user": "sven", "servers": {"default": "spawn"}}
    assert not cluster.exists("pod", deployment.lab(account), namespace=LABS)
    visitor.spawn("sven", image="recommended", size="small")
    assert deployment.api("POST", "/users/sven/reset").json() == {"user": "sven", "servers": {"default": "running"}}
    wait_until(lambda: not cluster.exists("pod", deployment.lab(account), namespace=LABS), "the pod is deleted", 30)
    visitor.spawn("sven", image="recommended", size="small")
    assert deployment.api("POST", "/users/nobody/reset").status_code == 404


def test_hub_recovers_labs_after_losing_its_database(deployment: Deployment) -> None:
    visitor, account = deployment.member("wilma")
    visitor.spawn("wilma", image="recommended", size="small")
    uid, lab = pod_uid(deployment.lab(account)), deployment.client(visitor, "wilma")
    with lab.kernel("python3", shut_down=False) as kernel:
        kernel.execute("x = 41")
        kubectl("exec", "deployment/hub", "--namespace", NAMESPACE, "--", "sh", "-c", "rm /srv/jupyterhub/*")
        deployment.kill_hub()
        recovered = f"recovered the lab {deployment.lab(account)} of wilma, which was missing from the database"
        wait_until(lambda: recovered in deployment.log(), "the hub recovers the lab", 120)
        wait_until(deployment.is_up, "the hub answers again")
        assert "Deleting stale route /user/wilma/" not in deployment.log()
        assert kernel.execute("print(x + 1)").stdout == "42\n"
    deployment.token = administrator_token(deployment)
    created = get("pod", deployment.lab(account), namespace=LABS)["metadata"]["creationTimestamp"]
    assert deployment.server("wilma")["started"].startswith(created.rstrip("Z"))
    # The user's session was lost with the database. After a new login, the user reaches the same lab.
    assert not visitor.is_logged_in()
    again = deployment.visitor("wilma")
    again.log_in()
    assert again.reaches_lab("wilma")
    assert len(deployment.client(again, "wilma").request("GET", "api/kernels").json()) == 1
    assert pod_uid(deployment.lab(account)) == uid
    # The lab's API token, with which the lab reports its activity, must still be valid.
    assert json.loads(deployment.run(account, "python3", "-c", WHO_AM_I))["name"] == "wilma"
    assert deployment.api("DELETE", "/users/wilma/server").status_code in {202, 204}
    deployment.wait_stopped("wilma")
